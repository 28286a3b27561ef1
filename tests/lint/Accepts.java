// Whether Kafka takes a server.properties: java Accepts.java FILE...
// Its storage tool reads each file as a broker does. Prints a line for each: "ok", or why not.
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import kafka.tools.StorageTool;

public class Accepts {
    public static void main(String[] files) {
        for (String file : files) {
            String[] format = {"format", "-t", "kdiagLabCluster0000001", "-c", file, "-N"};
            try {
                int code = StorageTool.execute(format, new PrintStream(new ByteArrayOutputStream()));
                System.out.println(code == 0 ? "ok" : "exit code " + code);
            } catch (Throwable error) {
                System.out.println(error.toString().replace('\n', ' '));
            }
        }
    }
}
