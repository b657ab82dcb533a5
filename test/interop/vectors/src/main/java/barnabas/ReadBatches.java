package barnabas;

import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Scanner;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MutableRecordBatch;

/** The other direction: reads batches in base64, one a line, and prints what Kafka's reader finds in each. */
public final class ReadBatches {
    public static void main(String[] arguments) throws Exception {
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            byte[] bytes = Base64.getDecoder().decode(lines.nextLine());
            for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
                System.out.println(BatchJson.MAPPER.writeValueAsString(BatchJson.describe(batch)));
            }
        }
    }
}
