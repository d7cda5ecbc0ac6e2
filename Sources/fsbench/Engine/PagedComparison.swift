/// Engines with a quarter of their rows in memory: the Store beside what the device gives (fio, which reads the same file),
/// then RocksDB and LMDB with the same rows, one after the other.
struct PagedComparison {
  static let depth = 32
  /// Pages have three quarters of the memory; the rest is for their table and all else.
  private static let share = (3, 4)
  private static let hotRows = 1_000
  private static let hotPerSecond = 20_000

  let rows: NumberedRows
  let memory: ByteCount
  let directory: String
  let seconds: Double
  let machine: Machine

  private var pages = 0
  private var ours: [PagedReads.Result] = []
  private var device: [Fio.Result] = []
  private var rocksdb: [Double] = []
  private var lmdb: [Double] = []

  init(rows: Int, memory: ByteCount, directory: String, seconds: Double, machine: Machine) {
    self.rows = NumberedRows(count: rows)
    (self.memory, self.directory, self.seconds, self.machine) = (memory, directory, seconds, machine)
  }

  /// As many rows as are four times the memory, by the bytes of their keys and values.
  static func rows(for memory: ByteCount) -> Int { 4 * memory.value / NumberedRows.byteCount(rows: 1) }

  private var pageMemory: Int { memory.value / Self.share.1 * Self.share.0 }

  /// LMDB reads through the page cache, so only the kernel can make it keep to the memory.
  private var isLimited: Bool { MemoryLimit.current().map { $0 <= memory.value } ?? false }

  mutating func run(rounds: Int) throws(BenchError) {
    let (fio, rocks, lightning) = (try Fio(), try RocksDBLibrary(), try LMDBLibrary())
    try measureOurs(fio, rounds)
    rocksdb = try measure(rounds) { comparison throws(BenchError) in
      try RocksDBEngine(
        library: rocks, under: comparison.directory, .init(cacheBytes: comparison.pageMemory, isPaged: true))
    }
    guard isLimited else { return }
    lmdb = try measure(rounds) { comparison throws(BenchError) in
      try PagedLMDB(library: lightning, under: comparison.directory, rows: comparison.rows.count)
    }
  }

  // MARK: - Measuring: load, read until memory is full, then the rounds

  private mutating func measureOurs(_ fio: Fio, _ rounds: Int) throws(BenchError) {
    let target = try PagedStore(under: directory, rows: rows, memoryBytes: pageMemory)
    let plan = PagedReads.Plan(
      depth: Self.depth, hotRows: min(Self.hotRows, rows.count), hotPerSecond: Self.hotPerSecond)
    let reads = try PagedReads(target, plan: plan)
    pages = target.pages
    _ = try reads.run(seconds: seconds)
    for _ in 0..<rounds {
      ours.append(try machine.measure { () throws(BenchError) in try reads.run(seconds: seconds) })
      device.append(
        try machine.measure { () throws(BenchError) in
          try fio.run(
            .randomRead, file: target.file.file.path, blockBytes: PagedStore.pageBytes, depth: Self.depth,
            seconds: seconds)
        })
    }
  }

  private func measure(
    _ rounds: Int, _ make: (PagedComparison) throws(BenchError) -> any BlockingEngine
  ) throws(BenchError) -> [Double] {
    let engine = try make(self)
    try engine.load(rows)
    let reads = ThreadedReads(engine, rows: rows)
    _ = try reads.run(threads: Self.depth, seconds: seconds)
    var rates: [Double] = []
    for _ in 0..<rounds {
      rates.append(
        try machine.measure { () throws(BenchError) in try reads.run(threads: Self.depth, seconds: seconds) })
    }
    return rates
  }

  // MARK: - Results

  var figures: [Figure] {
    let references = [("fio", device.map(\.perSecond)), ("rocksdb", rocksdb), ("lmdb", lmdb)]
    let reads = references.filter { !$0.1.isEmpty }.map { name, rates in
      Figure(
        name: "memory/read/\(name)", value: ours.map(\.perSecond).median, unit: .perSecond,
        reference: .init(name: name, value: rates.median))
    }
    return reads
      + [hot("p50") { $0.percentile(0.5) }, hot("p99") { $0.percentile(0.99) }, hot("p99.9") { $0.percentile(0.999) }]
  }

  private func hot(_ name: String, _ value: (Latencies) -> Double) -> Figure {
    Figure(name: "memory/hot-read/\(name)/latency", value: ours.map { value($0.hot) }.median, unit: .seconds)
  }

  var remarks: [String] {
    let arrived = ours.map(\.pagesPerSecond).median
    let hits = ours.map { 100 * Double($0.hotHits) / Double(max(1, $0.hot.count)) }.median
    let limit = "nothing limits this process to \(memory): LMDB, which the page cache would help, is not measured"
    return [
      "\(rows.count) rows on \(pages) pages of 16 KiB, \(memory) of memory, \(Self.depth) reads at a time",
      "\(Int(arrived)) pages/s came from the disk; "
        + "\(Self.hotPerSecond) reads/s of \(Self.hotRows) hot rows meanwhile, \(Int(hits)) % of them from memory",
      "fio alone: P99 \(Int(device.map(\.p99).median * 1e6)) µs",
    ] + (lmdb.isEmpty ? [limit] : [])
  }
}
