// What Kafka's own client makes of a TLS peer: java Trust.java {TRUSTSTORE.pem PORT}...
// Prints one line for each pair: "ok" where Metadata was answered, else why the handshake failed.
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Trust {
    public static void main(String[] arguments) {
        for (int at = 0; at < arguments.length; at += 2) {
            Properties given = new Properties();
            given.put("bootstrap.servers", "localhost:" + arguments[at + 1]);
            given.put("security.protocol", "SSL");
            given.put("ssl.truststore.type", "PEM");
            given.put("ssl.truststore.location", arguments[at]);
            given.put("max.block.ms", "30000");
            ByteArraySerializer bytes = new ByteArraySerializer();
            try (KafkaProducer<byte[], byte[]> client = new KafkaProducer<>(given, bytes, bytes)) {
                client.partitionsFor("orders");
                System.out.println("ok");
            } catch (Exception error) {
                Throwable cause = error;
                while (cause.getCause() != null) cause = cause.getCause();
                System.out.println(cause.getClass().getSimpleName() + ": " + cause.getMessage());
            }
        }
    }
}
