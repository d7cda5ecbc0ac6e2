/// LMDB on disk: rows appended in key order, 10 000 a transaction, each reader in a transaction of its own.
final class PagedLMDB: BlockingEngine {
  private static let rowsPerTransaction = 10_000

  private let library: LMDBLibrary
  private let engine: LMDBEngine

  init(library: LMDBLibrary, under directory: String, rows: Int) throws(BenchError) {
    self.library = library
    engine = try LMDBEngine(library: library, under: directory, rows: rows)
  }

  func load(_ rows: NumberedRows) throws(BenchError) {
    var transaction = try engine.begin(0)
    try rows.forEach { number, key, value throws(BenchError) in
      try engine.put(transaction, key, value, LMDBLibrary.append)
      guard number % Self.rowsPerTransaction == Self.rowsPerTransaction - 1 else { return }
      try library.check(library.commit(transaction), "mdb_txn_commit")
      transaction = try engine.begin(0)
    }
    try library.check(library.commit(transaction), "mdb_txn_commit")
    try engine.synchronize()
  }

  func makeReader() throws(BenchError) -> any BlockingReader {
    LMDBReader(engine, library, try engine.begin(LMDBLibrary.readOnly))
  }
}

private final class LMDBReader: BlockingReader {
  private let engine: LMDBEngine
  private let library: LMDBLibrary
  private let transaction: OpaquePointer

  init(_ engine: LMDBEngine, _ library: LMDBLibrary, _ transaction: OpaquePointer) {
    (self.engine, self.library, self.transaction) = (engine, library, transaction)
  }

  deinit { library.abort(transaction) }

  func read(_ key: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer?) -> Bool) throws(BenchError) -> Bool {
    body(try engine.get(transaction, key))
  }
}
