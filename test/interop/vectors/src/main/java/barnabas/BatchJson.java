package barnabas;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.HexFormat;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;

/** What Kafka's own classes read from a batch, as JSON. Names are those of packages/protocol. */
final class BatchJson {
    static final ObjectMapper MAPPER = new ObjectMapper();

    private BatchJson() {}

    static ObjectNode describe(MutableRecordBatch batch) {
        batch.ensureValid();
        ObjectNode json = MAPPER.createObjectNode();
        ObjectNode header = json.putObject("header");
        header.put("baseOffset", batch.baseOffset());
        header.put("sizeInBytes", batch.sizeInBytes());
        header.put("partitionLeaderEpoch", batch.partitionLeaderEpoch());
        header.put("crc", batch.checksum());
        header.put("compression", batch.compressionType().name);
        header.put("timestampType", batch.timestampType().name);
        header.put("isTransactional", batch.isTransactional());
        header.put("isControl", batch.isControlBatch());
        header.put("hasDeleteHorizon", batch.deleteHorizonMs().isPresent());
        header.put("lastOffsetDelta", (int) (batch.lastOffset() - batch.baseOffset()));
        header.put("maxTimestamp", batch.maxTimestamp());
        header.put("producerId", batch.producerId());
        header.put("producerEpoch", batch.producerEpoch());
        header.put("baseSequence", batch.baseSequence());
        header.put("recordCount", batch.countOrNull());
        header.put("lastOffset", batch.lastOffset());
        ArrayNode records = json.putArray("records");
        for (Record record : batch) {
            record.ensureValid();
            records.add(describe(batch, record));
        }
        return json;
    }

    private static ObjectNode describe(MutableRecordBatch batch, Record record) {
        ObjectNode json = MAPPER.createObjectNode();
        json.put("offset", record.offset());
        json.put("timestamp", record.timestamp());
        json.put("key", base64(record.hasKey() ? record.key() : null));
        putValue(json, record.hasValue() ? record.value() : null);
        ArrayNode headers = json.putArray("headers");
        for (Header header : record.headers()) {
            ObjectNode pair = headers.addObject();
            pair.put("key", header.key());
            pair.put("value", base64(header.value() == null ? null : ByteBuffer.wrap(header.value())));
        }
        if (batch.isControlBatch()) {
            ObjectNode control = json.putObject("control");
            ControlRecordType type = ControlRecordType.parse(record.key());
            control.put("kind", type.name().toLowerCase());
            if (type == ControlRecordType.COMMIT || type == ControlRecordType.ABORT) {
                control.put("coordinatorEpoch", EndTransactionMarker.deserialize(record).coordinatorEpoch());
            }
        }
        return json;
    }

    /** Large values by their hash, so that the file of vectors stays small. */
    private static void putValue(ObjectNode json, ByteBuffer value) {
        if (value == null || value.remaining() <= 1000) {
            json.put("value", base64(value));
            return;
        }
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(array(value));
            json.put("valueSha256", HexFormat.of().formatHex(hash));
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static String base64(ByteBuffer bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(array(bytes));
    }

    private static byte[] array(ByteBuffer bytes) {
        byte[] array = new byte[bytes.remaining()];
        bytes.duplicate().get(array);
        return array;
    }
}
