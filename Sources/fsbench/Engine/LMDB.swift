import Glibc

/// LMDB's C interface, as far as it is used here.
struct LMDBLibrary {
  typealias Handle = OpaquePointer
  typealias Slot = UnsafeMutablePointer<OpaquePointer?>
  typealias Value = UnsafeMutableRawPointer  // MDB_val *

  let createEnvironment: @convention(c) (Slot) -> Int32
  let setMapSize: @convention(c) (Handle, Int) -> Int32
  let openEnvironment: @convention(c) (Handle, UnsafePointer<CChar>, UInt32, mode_t) -> Int32
  let closeEnvironment: @convention(c) (Handle) -> Void
  let begin: @convention(c) (Handle, OpaquePointer?, UInt32, Slot) -> Int32
  let commit: @convention(c) (Handle) -> Int32
  let abort: @convention(c) (Handle) -> Void
  let openDatabase: @convention(c) (Handle, UnsafePointer<CChar>?, UInt32, UnsafeMutablePointer<UInt32>) -> Int32
  let put: @convention(c) (Handle, UInt32, Value, Value, UInt32) -> Int32
  let get: @convention(c) (Handle, UInt32, Value, Value) -> Int32
  let openCursor: @convention(c) (Handle, UInt32, Slot) -> Int32
  let closeCursor: @convention(c) (Handle) -> Void
  let cursorGet: @convention(c) (Handle, Value, Value, UInt32) -> Int32
  let synchronize: @convention(c) (Handle, Int32) -> Int32
  private let text: @convention(c) (Int32) -> UnsafePointer<CChar>?

  init() throws(BenchError) {
    let library = try SharedLibrary("liblmdb.so.0", package: "liblmdb0")
    createEnvironment = try library.symbol("mdb_env_create")
    setMapSize = try library.symbol("mdb_env_set_mapsize")
    openEnvironment = try library.symbol("mdb_env_open")
    closeEnvironment = try library.symbol("mdb_env_close")
    begin = try library.symbol("mdb_txn_begin")
    commit = try library.symbol("mdb_txn_commit")
    abort = try library.symbol("mdb_txn_abort")
    openDatabase = try library.symbol("mdb_dbi_open")
    put = try library.symbol("mdb_put")
    get = try library.symbol("mdb_get")
    openCursor = try library.symbol("mdb_cursor_open")
    closeCursor = try library.symbol("mdb_cursor_close")
    cursorGet = try library.symbol("mdb_cursor_get")
    synchronize = try library.symbol("mdb_env_sync")
    text = try library.symbol("mdb_strerror")
  }

  func check(_ code: Int32, _ call: String) throws(BenchError) {
    guard code != 0 else { return }
    throw .failed("LMDB: \(call): \(text(code).map { String(cString: $0) } ?? "\(code)")")
  }

  static let noSync: UInt32 = 0x10000
  static let readOnly: UInt32 = 0x20000
  static let noMetaSync: UInt32 = 0x40000
  static let writeMap: UInt32 = 0x80000
  static let noReadAhead: UInt32 = 0x80_0000
  /// The key is behind all others.
  static let append: UInt32 = 0x20000
  static let notFound: Int32 = -30798
  static let first: UInt32 = 0
  static let next: UInt32 = 8
}

/// MDB_val.
private struct LMDBValue {
  var count = 0
  var bytes: UnsafeMutableRawPointer?

  init() {}

  init(_ bytes: UnsafeRawBufferPointer) {
    count = bytes.count
    self.bytes = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
  }
}

/// LMDB as fast as it goes: no sync, writes into the map, 1000 rows a transaction, reads in one transaction.
final class LMDBEngine: RowEngine {
  private static let rowsPerTransaction = 1000

  private let library: LMDBLibrary
  private let environment: OpaquePointer
  private let scratch: Scratch
  private var database: UInt32 = 0

  init(library: LMDBLibrary, under directory: String, rows: Int) throws(BenchError) {
    self.library = library
    scratch = try Scratch(under: directory)
    var made: OpaquePointer?
    try library.check(library.createEnvironment(&made), "mdb_env_create")
    guard let made else { throw .failed("LMDB makes no environment") }
    environment = made
    try library.check(library.setMapSize(made, max(64 << 20, rows * 512)), "mdb_env_set_mapsize")
    let flags = LMDBLibrary.noSync | LMDBLibrary.noMetaSync | LMDBLibrary.writeMap | LMDBLibrary.noReadAhead
    try library.check(library.openEnvironment(made, scratch.path, flags, 0o600), "mdb_env_open")
    let transaction = try begin(0)
    try library.check(library.openDatabase(transaction, nil, 0, &database), "mdb_dbi_open")
    try library.check(library.commit(transaction), "mdb_txn_commit")
  }

  deinit { library.closeEnvironment(environment) }

  func begin(_ flags: UInt32) throws(BenchError) -> OpaquePointer {
    var transaction: OpaquePointer?
    try library.check(library.begin(environment, nil, flags, &transaction), "mdb_txn_begin")
    guard let transaction else { throw .failed("LMDB begins no transaction") }
    return transaction
  }

  @inline(__always) func put(
    _ transaction: OpaquePointer, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ flags: UInt32
  ) throws(BenchError) {
    var (key, value) = (LMDBValue(key), LMDBValue(value))
    try library.check(library.put(transaction, database, &key, &value, flags), "mdb_put")
  }

  /// Where the value lies; a key that is missing is an error.
  @inline(__always) func get(
    _ transaction: OpaquePointer, _ key: UnsafeRawBufferPointer
  ) throws(BenchError) -> UnsafeRawBufferPointer {
    var (key, value) = (LMDBValue(key), LMDBValue())
    try library.check(library.get(transaction, database, &key, &value), "mdb_get")
    return UnsafeRawBufferPointer(start: value.bytes, count: value.count)
  }

  /// Brings all to disk.
  func synchronize() throws(BenchError) { try library.check(library.synchronize(environment, 1), "mdb_env_sync") }

  func insert(_ rows: Rows) throws(BenchError) {
    var index = 0
    while index < rows.count {
      let end = min(rows.count, index + Self.rowsPerTransaction)
      let transaction = try begin(0)
      while index < end {
        try put(transaction, rows.key(index), UnsafeRawBufferPointer(rows.value), 0)
        index += 1
      }
      try library.check(library.commit(transaction), "mdb_txn_commit")
    }
  }

  func read(_ rows: Rows) throws(BenchError) -> UInt64 {
    let transaction = try begin(LMDBLibrary.readOnly)
    defer { library.abort(transaction) }
    var sum: UInt64 = 0
    for index in 0..<rows.count {
      let value = try get(transaction, rows.readKey(index))
      if let bytes = value.baseAddress { sum &+= touch(bytes, value.count) }
    }
    return sum
  }

  func scan() throws(BenchError) -> (rows: Int, sum: UInt64) {
    let transaction = try begin(LMDBLibrary.readOnly)
    defer { library.abort(transaction) }
    var cursor: OpaquePointer?
    try library.check(library.openCursor(transaction, database, &cursor), "mdb_cursor_open")
    guard let cursor else { throw .failed("LMDB opens no cursor") }
    defer { library.closeCursor(cursor) }
    var (rows, sum) = (0, UInt64(0))
    var (key, value) = (LMDBValue(), LMDBValue())
    var code = library.cursorGet(cursor, &key, &value, LMDBLibrary.first)
    while code == 0 {
      if let bytes = value.bytes { sum &+= touch(bytes, value.count) }
      rows += 1
      code = library.cursorGet(cursor, &key, &value, LMDBLibrary.next)
    }
    if code != LMDBLibrary.notFound { try library.check(code, "mdb_cursor_get") }
    return (rows, sum)
  }
}
