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

  struct Settings {
    /// The block cache's size.
    var cacheBytes: Int
    /// RocksDB counts what it does, which costs it time.
    var isCounting = false
    /// Blocks are read past the page cache and not compressed, so that they are as many as there are rows for; the cache
    /// holds indexes and filters too, so that it is all the memory for what is read; memtables are small.
    var isPaged = false
  }

  convenience init(
    library: RocksDBLibrary, under directory: String, cacheBytes: Int, isCounting: Bool = false
  ) throws(BenchError) {
    try self.init(library: library, under: directory, Settings(cacheBytes: cacheBytes, isCounting: isCounting))
  }

  init(library: RocksDBLibrary, under directory: String, _ settings: Settings) throws(BenchError) {
    self.library = library
    scratch = try Scratch(under: directory)
    let path = scratch.path
    let options = try Self.options(library, settings)
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

  private static func options(_ library: RocksDBLibrary, _ settings: Settings) throws(BenchError) -> OpaquePointer {
    let table = try library.made(library.makeTable())
    defer { library.destroyTable(table) }
    let cache = try library.made(library.makeCache(settings.cacheBytes))
    defer { library.destroyCache(cache) }
    library.setBlockSize(table, blockBytes)
    library.setBlockCache(table, cache)
    library.setIndexInCache(table, settings.isPaged ? 1 : 0)
    library.setFilter(table, try library.made(library.makeBloomFilter(bloomBitsPerKey)))  // which it owns from here on
    let options = try library.made(library.makeOptions())
    library.createIfMissing(options, 1)
    library.setTable(options, table)
    if settings.isCounting { library.enableStatistics(options) }
    if settings.isPaged {
      library.setDirectReads(options, 1)
      library.setCompression(options, RocksDBLibrary.noCompression)
      library.setWriteBuffer(options, settings.cacheBytes / 32)
    }
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

// MARK: - More rows than memory

extension RocksDBEngine: BlockingEngine {
  private static let rowsPerBatch = 1000

  /// In key order and without a log: the files that come of it do not overlap, and only move down.
  func load(_ rows: NumberedRows) throws(BenchError) {
    let unlogged = try library.made(library.makeWriteOptions())
    defer { library.destroyWriteOptions(unlogged) }
    library.setWithoutLog(unlogged, 1)
    library.clearBatch(batch)
    try rows.forEach { number, key, value throws(BenchError) in
      library.putIntoBatch(batch, key.baseAddress, key.count, value.baseAddress, value.count)
      guard number % Self.rowsPerBatch == Self.rowsPerBatch - 1 || number == rows.count - 1 else { return }
      try library.check("rocksdb_write") { library.write(database, unlogged, batch, $0) }
      library.clearBatch(batch)
    }
    try compact()
  }

  func makeReader() -> any BlockingReader { RocksDBReader(engine: self) }

  fileprivate func get(
    _ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) -> Bool
  ) throws(BenchError) -> Bool {
    let found = try library.check("rocksdb_get_pinned") {
      library.getPinned(database, filling, key.baseAddress, key.count, $0)
    }
    guard let found else { return body(nil) }
    defer { library.destroyPinned(found) }
    var count = 0
    let bytes = library.pinnedValue(found, &count)
    return body(UnsafeRawBufferPointer(start: bytes, count: count))
  }
}

/// RocksDB's readers share all they need.
private final class RocksDBReader: BlockingReader {
  private let engine: RocksDBEngine

  init(engine: RocksDBEngine) { self.engine = engine }

  func read(_ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) -> Bool) throws(BenchError) -> Bool {
    try engine.get(key, body)
  }
}
