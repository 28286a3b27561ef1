import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Kafka's own client. Each line of standard input is a run, its parts parted by tabs: a number, the seconds it may take,
 * topic, partitions, and properties as NAME=VALUE. A record is written to each partition; the number is printed with the
 * first exception, or with "-" where every record was acknowledged. Runs do not wait for each other.
 *
 * With the topic "<" a share consumer of the properties' group.id reads the topic that the partitions name until it has a
 * record, or its time is over. With the topic "$" a transactional producer begins, and ends;
 * with "?" the transactions of the cluster and their states are printed.
 *
 * With the topic "=" nothing is written: the partitions are then a quota of every client id, as NAME=VALUE, or NAME= to
 * take it away.
 */
public class JavaClient {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] told = line.split("\t");
            Thread run = new Thread(() -> {
                String ended = (switch (told[2]) {
                    case "=" -> limit(told);
                    case "<" -> share(told);
                    case "$" -> transaction(told);
                    case "?" -> transactions(told);
                    default -> produce(told);
                }).replaceAll("\\s+", " ");
                synchronized (System.out) {
                    System.out.println(told[0] + "\t" + ended);
                }
            });
            run.setDaemon(true);
            run.start();
        }
    }

    private static String produce(String[] told) {
        Properties properties = new Properties();
        int milliseconds = Integer.parseInt(told[1]) * 1000;
        properties.put("key.serializer", StringSerializer.class.getName());
        properties.put("value.serializer", StringSerializer.class.getName());
        properties.put("enable.metrics.push", "false");
        properties.put("max.block.ms", Integer.toString(milliseconds));
        properties.put("request.timeout.ms", Integer.toString(Math.min(30000, milliseconds - 1000)));
        properties.put("delivery.timeout.ms", Integer.toString(milliseconds));
        for (int at = 4; at < told.length; at++) {
            String[] pair = told[at].split("=", 2);
            properties.put(pair[0], pair[1]);
        }
        KafkaProducer<String, String> producer = new KafkaProducer<>(properties);
        try {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int partition = 0; partition < Integer.parseInt(told[3]); partition++) {
                sent.add(producer.send(new ProducerRecord<>(told[2], partition, null, "control")));
                if (sent.get(partition).isDone()) {
                    sent.get(partition).get(); // it waited for metadata in vain, and would again
                }
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
            return "-";
        } catch (ExecutionException failed) {
            return named(failed.getCause());
        } catch (Exception failed) {
            return named(failed);
        } finally {
            producer.close(Duration.ZERO);
        }
    }

    private static Properties given(String[] told) {
        Properties properties = new Properties();
        for (int at = 4; at < told.length; at++) {
            String[] pair = told[at].split("=", 2);
            properties.put(pair[0], pair[1]);
        }
        return properties;
    }

    private static String share(String[] told) {
        Properties properties = given(told);
        properties.put("key.deserializer", StringDeserializer.class.getName());
        properties.put("value.deserializer", StringDeserializer.class.getName());
        long ends = System.currentTimeMillis() + Integer.parseInt(told[1]) * 1000L;
        try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(properties)) {
            consumer.subscribe(List.of(told[3]));
            while (System.currentTimeMillis() < ends) {
                if (!consumer.poll(Duration.ofMillis(200)).isEmpty()) {
                    return "-";
                }
            }
            return "no record";
        } catch (Exception failed) {
            return named(failed);
        }
    }

    private static String transactions(String[] told) {
        try (Admin admin = Admin.create(given(told))) {
            return admin.listTransactions().all().get().toString();
        } catch (Exception failed) {
            return named(failed);
        }
    }

    private static String transaction(String[] told) {
        Properties properties = given(told);
        properties.put("key.serializer", StringSerializer.class.getName());
        properties.put("value.serializer", StringSerializer.class.getName());
        properties.put("max.block.ms", Integer.toString(Integer.parseInt(told[1]) * 1000));
        KafkaProducer<String, String> producer = new KafkaProducer<>(properties);
        try {
            producer.initTransactions();
            return "-";
        } catch (Exception failed) {
            return named(failed);
        } finally {
            producer.close(Duration.ZERO);
        }
    }

    private static String limit(String[] told) {
        String[] quota = told[3].split("=", -1);
        Properties properties = given(told);
        Map<String, String> everyone = new HashMap<>();
        everyone.put("client-id", null);
        Double value = quota[1].isEmpty() ? null : Double.valueOf(quota[1]);
        try (Admin admin = Admin.create(properties)) {
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(new ClientQuotaEntity(everyone),
                List.of(new ClientQuotaAlteration.Op(quota[0], value))))).all().get();
            return "-";
        } catch (Exception failed) {
            return named(failed);
        }
    }

    private static String named(Throwable failed) {
        return failed.getClass().getSimpleName() + ": " + failed.getMessage();
    }
}
