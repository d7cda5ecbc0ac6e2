import Primitives

/// The Store behind the journal on real files: a group of rows is one entry of the log and one durable write, and is applied
/// when it is durable, while the next one is being written: one write is in flight at a time. No checkpoint is written: what is
/// durable counts as checkpointed, so that the log's segments are used again.
final class LoggedStoreEngine: RowEngine {
  var isLogged: Bool { true }
  private let scratch: Scratch
  private let log: LogDriver
  private let store: StoreEngine

  init(under directory: String, rows: Int) throws(BenchError) {
    store = try StoreEngine(rows: rows)
    scratch = try Scratch(under: directory)
    log = try LogDriver(directory: scratch.path, segmentBytes: rows < 100_000 ? 2 << 20 : 32 << 20)
    try log.warmUp()
  }

  /// Blocks of the log that were written, and bytes of rows in them.
  var written: (blocks: UInt64, bytes: UInt64) {
    (log.statistics.blocksWritten - log.statistics.seals, log.statistics.payloadBytesWritten)
  }

  func insert(_ rows: Rows) throws(BenchError) {
    log.readClock()
    let fresh = log.fresh
    var durable = 0..<0
    for group in rows.groups {
      log.append(Self.payload(rows, group))
      try log.turn(isWaiting: false)
      try store.insert(rows, durable)
      while log.persisted < log.appended { try log.turn() }
      durable = group
    }
    try store.insert(rows, durable)
    precondition(log.fresh == fresh, "no segment is made while inserts are measured")
  }

  /// Keys and values one behind the other, each with its length before it.
  private static func payload(_ rows: Rows, _ group: Range<Int>) -> [UInt8] {
    var writer = ByteWriter(capacity: group.count * (Rows.keyBytes + Rows.valueBytes + 2))
    for index in group {
      writer.writeSized(rows.key(index))
      writer.writeSized(UnsafeRawBufferPointer(rows.value))
    }
    return writer.bytes
  }

  func read(_ rows: Rows) throws(BenchError) -> UInt64 { try store.read(rows) }
  func scan() throws(BenchError) -> (rows: Int, sum: UInt64) { try store.scan() }
}
