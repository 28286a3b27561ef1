import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.KubernetesMixedDispatcher;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import io.fabric8.mockwebserver.Context;
import io.fabric8.mockwebserver.MockWebServer;
import io.fabric8.mockwebserver.ServerRequest;
import io.fabric8.mockwebserver.ServerResponse;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;

/**
 * A Kubernetes API on loopback that keeps Strimzi's resources. It prints its port; a line PATH STATUS JSON on standard
 * input has it answer that there from now on, and it ends with its standard input.
 */
public class KubernetesApi {
    public static void main(String[] arguments) throws Exception {
        Map<ServerRequest, Queue<ServerResponse>> responses = new HashMap<>();
        KubernetesMockServer server = new KubernetesMockServer(
            new Context(), new MockWebServer(), responses, new KubernetesMixedDispatcher(responses), false);
        for (String kind : new String[] {"Kafka", "KafkaNodePool"}) {
            server.expectCustomResource(new CustomResourceDefinitionContext.Builder()
                .withGroup("kafka.strimzi.io").withVersion("v1").withKind(kind)
                .withPlural(kind.toLowerCase() + "s").withScope("Namespaced").build());
        }
        server.init(InetAddress.getLoopbackAddress(), 0);
        System.out.println(server.getPort());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] told = line.split(" ", 3);
            server.expect().get().withPath(told[0]).andReturn(Integer.parseInt(told[1]), told[2]).always();
            System.out.println(told[0]);
        }
        server.destroy();
    }
}
