import Glibc

/// RocksDB with a log that is synced for each batch, 16 KiB blocks, a bloom filter of 10 bits a key, and a block cache as
/// large as our memory for pages. All else stands as it comes, its two background threads included.
final class RocksDBEngine: RowEngine {
  static let blockBytes = 16 << 10
  static let bloomBitsPerKey = 10.0

  var isLogged: Bool { true }
  private let library: RocksDBLibrary
  private let scratch: Scratch
  private let database: OpaquePointer
  private let batch: OpaquePointer
  private let durable: OpaquePointer
  /// Reads that put into the cache what they find, and reads that fail when it is not there.
  private let filling: OpaquePointer
  private let resident: OpaquePointer

  /// `cacheBytes` is the block cache's size. With `isCounting` RocksDB counts what it does, which costs it time.
  init(
    library: RocksDBLibrary, under directory: String, cacheBytes: Int, isCounting: Bool = false
  ) throws(BenchError) {
    self.library = library
    scratch = try Scratch(under: directory)
    let path = scratch.path
    let options = try Self.options(library, cacheBytes: cacheBytes, isCounting: isCounting)
    defer { library.destroyOptions(options) }
    database = try library.made(library.check("rocksdb_open") { library.open(options, path, $0) })
    batch = try library.made(library.makeBatch())
    durable = try library.made(library.makeWriteOptions())
    library.setSync(durable, 1)
    filling = try library.made(library.makeReadOptions())
    resident = try library.made(library.makeReadOptions())
    library.setReadTier(resident, RocksDBLibrary.onlyFromMemory)
  }

  deinit {
    library.destroyReadOptions(resident)
    library.destroyReadOptions(filling)
    library.destroyWriteOptions(durable)
    library.destroyBatch(batch)
    library.close(database)
  }

  private static func options(
    _ library: RocksDBLibrary, cacheBytes: Int, isCounting: Bool
  ) throws(BenchError) -> OpaquePointer {
    let table = try library.made(library.makeTable())
    defer { library.destroyTable(table) }
    let cache = try library.made(library.makeCache(cacheBytes))
    defer { library.destroyCache(cache) }
    library.setBlockSize(table, blockBytes)
    library.setBlockCache(table, cache)
    library.setFilter(table, try library.made(library.makeBloomFilter(bloomBitsPerKey)))  // which it owns from here on
    let options = try library.made(library.makeOptions())
    library.createIfMissing(options, 1)
    library.setTable(options, table)
    if isCounting { library.enableStatistics(options) }
    return options
  }

  func insert(_ rows: Rows) throws(BenchError) {
    for group in rows.groups {
      library.clearBatch(batch)
      for index in group {
        let key = rows.key(index)
        library.putIntoBatch(batch, key.baseAddress, key.count, rows.value.baseAddress, rows.value.count)
      }
      try library.check("rocksdb_write") { library.write(database, durable, batch, $0) }
    }
  }

  func settle(_ rows: Rows) throws(BenchError) {
    try compact()
    _ = try read(rows, filling)
  }

  /// Brings all rows to the lowest level, in as few and as full files as they can be read from.
  func compact() throws(BenchError) {
    library.compactRange(database, nil, 0, nil, 0)
    var rests = 0
    while try !isCompacted {
      rests += 1
      guard rests < 6000 else { throw .failed("RocksDB still compacts after a minute") }
      usleep(10_000)
    }
  }

  private var isCompacted: Bool {
    get throws(BenchError) {
      for property in ["num-files-at-level0", "compaction-pending", "num-running-compactions", "num-running-flushes"] {
        if try number("rocksdb.\(property)") > 0 { return false }
      }
      return true
    }
  }

  func read(_ rows: Rows) throws(BenchError) -> UInt64 { try read(rows, resident) }

  /// Pinned: the value is touched where it lies in the cache, and nothing is copied.
  private func read(_ rows: Rows, _ options: OpaquePointer) throws(BenchError) -> UInt64 {
    var (sum, missing, count) = (UInt64(0), 0, 0)
    for index in 0..<rows.count {
      let key = rows.readKey(index)
      let found = try library.check("rocksdb_get_pinned") {
        library.getPinned(database, options, key.baseAddress, key.count, $0)
      }
      if let found, let bytes = library.pinnedValue(found, &count) {
        sum &+= touch(bytes, count)
        library.destroyPinned(found)
      } else {
        missing += 1
      }
    }
    guard missing == 0 else { throw .failed("RocksDB lost \(missing) rows") }
    return sum
  }

  func scan() throws(BenchError) -> (rows: Int, sum: UInt64) {
    let iterator = try library.made(library.makeIterator(database, resident))
    defer { library.destroyIterator(iterator) }
    var (rows, sum, count) = (0, UInt64(0), 0)
    library.seekToFirst(iterator)
    while library.isValid(iterator) != 0 {
      if let bytes = library.iteratorValue(iterator, &count) { sum &+= touch(bytes, count) }
      rows += 1
      library.next(iterator)
    }
    try library.check("rocksdb_iter_next") { library.iteratorError(iterator, $0) }
    return (rows, sum)
  }

  /// A number that RocksDB tells of itself.
  func number(_ property: String) throws(BenchError) -> UInt64 {
    guard let text = library.text(database, property) else { throw .failed("RocksDB knows no \(property)") }
    defer { library.free(text) }
    guard let number = UInt64(String(cString: text)) else { throw .failed("\(property) of RocksDB is no number") }
    return number
  }

  /// What RocksDB counted of this kind; nil when it does not count.
  func counted(_ ticker: String) -> UInt64? {
    guard let text = library.text(database, "rocksdb.options-statistics") else { return nil }
    defer { library.free(text) }
    let line = String(cString: text).split(separator: "\n").first { $0.hasPrefix("\(ticker) COUNT : ") }
    return line?.split(separator: " ").last.flatMap { UInt64($0) }
  }
}
