package barnabas;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;

/** Writes batches built by Kafka's Java client, with what its own reader says about each. */
public final class MakeVectors {
    private static final long NOW = 1_700_000_000_000L;
    private static final Header[] NONE = {};

    private final ArrayNode vectors = BatchJson.MAPPER.createArrayNode();

    public static void main(String[] arguments) throws Exception {
        MakeVectors maker = new MakeVectors();
        maker.makeAll();
        StringBuilder text = new StringBuilder("[\n");
        for (int index = 0; index < maker.vectors.size(); index++) {
            text.append(BatchJson.MAPPER.writeValueAsString(maker.vectors.get(index)));
            text.append(index + 1 < maker.vectors.size() ? ",\n" : "\n");
        }
        Files.writeString(Path.of(arguments[0]), text.append("]\n").toString());
    }

    private void makeAll() {
        for (CompressionType type : CompressionType.values()) {
            String name = type.name;
            make(name + ", one record", type, builder -> append(builder, NOW, "key", "value"));
            make(name + ", nulls and empties", type, MakeVectors::nullsAndEmpties);
            make(name + ", headers", type, MakeVectors::headers);
            make(name + ", timestamps back and forth", type, MakeVectors::timestamps);
            make(name + ", 40 records", type, builder -> manyRecords(builder, 40));
            if (type != CompressionType.NONE) make(name + ", one value of 70000 bytes", type, MakeVectors::largeValue);
        }
        make("idempotent", CompressionType.NONE, 7, 3, TimestampType.CREATE_TIME, 12_345_678_901L, (short) 5, 42, false,
            builder -> manyRecords(builder, 3));
        make("idempotent, highest numbers", CompressionType.NONE, 9_007_199_254_740_990L, Integer.MAX_VALUE, TimestampType.CREATE_TIME,
            9_007_199_254_740_991L, Short.MAX_VALUE, Integer.MAX_VALUE, false, builder -> append(builder, NOW, null, "x"));
        make("transactional", CompressionType.LZ4, 1000, 9, TimestampType.CREATE_TIME, 77L, (short) 0, 0, true,
            builder -> manyRecords(builder, 5));
        make("log append time", CompressionType.NONE, 50, 2, TimestampType.LOG_APPEND_TIME, -1L, (short) -1, -1, false,
            builder -> manyRecords(builder, 4));
        make("log append time, gzip", CompressionType.GZIP, 50, 2, TimestampType.LOG_APPEND_TIME, -1L, (short) -1, -1, false,
            builder -> manyRecords(builder, 4));
        make("no timestamps", CompressionType.NONE, builder -> append(builder, RecordBatch.NO_TIMESTAMP, "k", "v"));
        for (ControlRecordType outcome : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT)) {
            add("control, " + outcome.name().toLowerCase(), MemoryRecords.withEndTransactionMarker(
                900, NOW, 4, 77L, (short) 6, new EndTransactionMarker(outcome, 31)));
        }
        add("empty, as compaction leaves it", emptyBatch());
        for (int level : new int[] {1, 9}) {
            make("gzip level " + level, Compression.gzip().level(level).build(), builder -> manyRecords(builder, 20));
        }
        for (int level : new int[] {1, 19, 22}) {
            make("zstd level " + level, Compression.zstd().level(level).build(), builder -> manyRecords(builder, 20));
        }
        for (int level : new int[] {1, 17}) {
            make("lz4 level " + level, Compression.lz4().level(level).build(), builder -> manyRecords(builder, 20));
        }
    }

    private static void append(MemoryRecordsBuilder builder, long timestamp, String key, String value) {
        builder.append(timestamp, bytes(key), bytes(value), NONE);
    }

    private static void nullsAndEmpties(MemoryRecordsBuilder builder) {
        append(builder, NOW, null, null);
        append(builder, NOW, null, "value");
        append(builder, NOW, "key", null);
        append(builder, NOW, "", "");
    }

    private static void headers(MemoryRecordsBuilder builder) {
        builder.append(NOW, bytes("k"), bytes("v"), new Header[] {new RecordHeader("a", bytes("1")), new RecordHeader("a", bytes("2"))});
        builder.append(NOW, bytes("k"), bytes("v"), new Header[] {new RecordHeader("null", (byte[]) null), new RecordHeader("", bytes(""))});
        builder.append(NOW, bytes("k"), bytes("v"), new Header[] {new RecordHeader("größe ✓ 🐛", bytes("ü"))});
        Header[] many = new Header[100];
        for (int index = 0; index < many.length; index++) many[index] = new RecordHeader("header-" + index, bytes("value-" + index));
        builder.append(NOW, bytes(null), bytes(null), many);
    }

    private static void timestamps(MemoryRecordsBuilder builder) {
        for (long timestamp : new long[] {NOW, NOW - 1, NOW + 1, 0, NOW + 63, NOW + 64, NOW + 8192, NOW - 100_000, NOW + (1L << 31), 1L << 50}) {
            append(builder, timestamp, null, "t" + timestamp);
        }
    }

    private static void manyRecords(MemoryRecordsBuilder builder, int count) {
        for (int index = 0; index < count; index++) {
            append(builder, NOW + index * 7L, "user-" + index % 13, "{\"event\":\"page-view\",\"sequence\":" + index + "}");
        }
    }

    private static void largeValue(MemoryRecordsBuilder builder) {
        // Larger than a block of snappy's or LZ4's framing, and neither noise nor one run.
        byte[] value = new byte[70_000];
        Random random = new Random(1);
        for (int index = 0; index < value.length; index++) value[index] = (byte) (index % 1000 < 3 ? random.nextInt(256) : index / 1000);
        builder.append(NOW, bytes(null), value, NONE);
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private void make(String name, CompressionType type, Consumer<MemoryRecordsBuilder> fill) {
        make(name, Compression.of(type).build(), fill);
    }

    private void make(String name, Compression compression, Consumer<MemoryRecordsBuilder> fill) {
        make(name, compression, 0, RecordBatch.NO_PARTITION_LEADER_EPOCH, TimestampType.CREATE_TIME, RecordBatch.NO_PRODUCER_ID,
            RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false, fill);
    }

    private void make(String name, CompressionType type, long baseOffset, int leaderEpoch, TimestampType timestampType,
        long producerId, short producerEpoch, int baseSequence, boolean isTransactional, Consumer<MemoryRecordsBuilder> fill) {
        make(name, Compression.of(type).build(), baseOffset, leaderEpoch, timestampType, producerId, producerEpoch, baseSequence,
            isTransactional, fill);
    }

    private void make(String name, Compression compression, long baseOffset, int leaderEpoch, TimestampType timestampType,
        long producerId, short producerEpoch, int baseSequence, boolean isTransactional, Consumer<MemoryRecordsBuilder> fill) {
        long logAppendTime = timestampType == TimestampType.LOG_APPEND_TIME ? NOW + 5000 : RecordBatch.NO_TIMESTAMP;
        try (MemoryRecordsBuilder builder = new MemoryRecordsBuilder(ByteBuffer.allocate(1024), RecordBatch.MAGIC_VALUE_V2, compression,
            timestampType, baseOffset, logAppendTime, producerId, producerEpoch, baseSequence, isTransactional, false, leaderEpoch, 1024)) {
            fill.accept(builder);
            add(name, builder.build());
        }
    }

    private static MemoryRecords emptyBatch() {
        ByteBuffer buffer = ByteBuffer.allocate(61);
        DefaultRecordBatch.writeEmptyHeader(buffer, RecordBatch.MAGIC_VALUE_V2, 77L, (short) 6, 11, 200, 209, 4,
            TimestampType.CREATE_TIME, NOW, false, false);
        buffer.flip();
        return MemoryRecords.readableRecords(buffer);
    }

    private void add(String name, MemoryRecords records) {
        List<MutableRecordBatch> batches = new ArrayList<>();
        records.batches().forEach(batches::add);
        ObjectNode vector = vectors.addObject();
        vector.put("name", name);
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        vector.put("batch", Base64.getEncoder().encodeToString(bytes));
        vector.setAll(BatchJson.describe(batches.get(0)));
    }
}
