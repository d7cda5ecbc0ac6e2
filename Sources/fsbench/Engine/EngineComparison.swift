import Glibc
import Ring

/// Results of all rounds: ours in memory, LMDB, ours with its log, RocksDB with its log, in turn.
struct EngineComparison {
  private enum Engine: String { case filestore, lmdb, rocksdb }

  private static let pairs: [(task: EngineResult.Task, reference: Engine)] = [
    (.insert, .lmdb), (.read, .lmdb), (.scan, .lmdb), (.insertLogged, .rocksdb), (.read, .rocksdb), (.scan, .rocksdb),
  ]

  private let probe: EngineProbe
  private let places: EnginePlaces
  private let machine: Machine
  private let lmdb: LMDBLibrary
  private let rocksdb: RocksDBLibrary
  private var results: [Engine: [EngineResult]] = [:]

  init(rows: Rows, places: EnginePlaces, machine: Machine) throws(BenchError) {
    lmdb = try LMDBLibrary()
    rocksdb = try RocksDBLibrary()
    probe = EngineProbe(rows: rows)
    self.places = places
    self.machine = machine
  }

  private var rows: Rows { probe.rows }

  /// Each engine is made anew; a repeat after stolen time too.
  mutating func round() throws(BenchError) {
    try add(.filestore) { engines throws(BenchError) in
      try engines.probe.run(StoreEngine(rows: engines.rows.count))
    }
    try add(.lmdb) { engines throws(BenchError) in
      try engines.probe.run(
        LMDBEngine(library: engines.lmdb, under: engines.places.memory, rows: engines.rows.count))
    }
    try add(.filestore) { engines throws(BenchError) in
      try engines.probe.run(LoggedStoreEngine(under: engines.places.disk, rows: engines.rows.count))
    }
    try add(.rocksdb) { engines throws(BenchError) in
      let cacheBytes = StoreEngine.memoryBytes(rows: engines.rows.count)
      return try engines.probe.run(
        RocksDBEngine(library: engines.rocksdb, under: engines.places.disk, cacheBytes: cacheBytes))
    }
  }

  private mutating func add(
    _ engine: Engine, _ run: (EngineComparison) throws(BenchError) -> EngineResult
  ) throws(BenchError) {
    let result = try machine.measure { () throws(BenchError) in try run(self) }
    results[engine, default: []].append(result)
  }

  private func median(_ task: EngineResult.Task, _ engine: Engine) -> Double {
    (results[engine] ?? []).compactMap { $0.rates[task] }.median
  }

  var figures: [Figure] {
    EngineComparison.pairs.map { task, reference in
      Figure(
        name: "engine/\(task.rawValue)/\(reference.rawValue)", value: median(task, .filestore), unit: .perSecond,
        reference: .init(name: reference.rawValue, value: median(task, reference)))
    }
  }

  var remarks: [String] {
    [
      "\(RowCount(rows.count).defaultValueDescription) rows; LMDB in \(places.memory), the logs and RocksDB in \(places.disk)",
      "\(rows.groups.count) groups; disks were flushed at least \(flushesMin(.filestore)) times for FileStore's, "
        + "\(flushesMin(.rocksdb)) times for RocksDB's",
    ]
  }

  private func flushesMin(_ engine: Engine) -> UInt64 {
    (results[engine] ?? []).filter { $0.rates[.insertLogged] != nil }.map(\.flushes).min() ?? 0
  }
}

/// Where engines keep their files.
struct EnginePlaces {
  /// For what nobody waits for.
  let memory: String
  /// For what is synced, of ours and of RocksDB.
  let disk: String

  /// - Throws: `.usage` when `disk` is no directory, or one in memory, where syncing costs nothing.
  init(disk: String) throws(BenchError) {
    let isInMemory: Bool
    do throws(SystemError) { isInMemory = try FileSystem.isInMemory(disk) } catch {
      throw .usage("\(error); name another --directory")
    }
    guard !isInMemory else { throw .usage("\(disk) is in memory; name a directory on a disk by --directory") }
    self.disk = disk
    memory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : disk
  }
}
