/// The Store with a quarter of its pages in memory, beside what the device gives: fio, which reads the same file.
struct PagedComparison {
  static let depth = 32
  /// Pages have three quarters of the memory; the rest is for their table and all else.
  private static let share = (3, 4)
  private static let hotRows = 1_000
  private static let hotPerSecond = 20_000

  private let target: PagedStore
  private let reads: PagedReads
  private let machine: Machine
  private let fio: Fio
  private let seconds: Double
  private let memory: ByteCount
  private var ours: [PagedReads.Result] = []
  private var device: [Fio.Result] = []

  /// Loads the rows, and reads until memory is full.
  init(
    rows: Int, memory: ByteCount, directory: String, seconds: Double, machine: Machine
  ) throws(BenchError) {
    fio = try Fio()
    (self.memory, self.seconds, self.machine) = (memory, seconds, machine)
    target = try PagedStore(
      under: directory, rows: NumberedRows(count: rows), memoryBytes: memory.value / Self.share.1 * Self.share.0)
    reads = try PagedReads(
      target,
      plan: .init(depth: Self.depth, hotRows: min(Self.hotRows, rows), hotPerSecond: Self.hotPerSecond))
    _ = try reads.run(seconds: seconds)
  }

  /// As many rows as are four times the memory, by the bytes of their keys and values.
  static func rows(for memory: ByteCount) -> Int { 4 * memory.value / NumberedRows.byteCount(rows: 1) }

  mutating func round() throws(BenchError) {
    ours.append(try machine.measure { () throws(BenchError) in try reads.run(seconds: seconds) })
    device.append(
      try machine.measure { () throws(BenchError) in
        try fio.run(
          .randomRead, file: target.file.file.path, blockBytes: PagedStore.pageBytes, depth: Self.depth,
          seconds: seconds)
      })
  }

  var figures: [Figure] {
    [
      Figure(
        name: "memory/read/fio", value: ours.map(\.perSecond).median, unit: .perSecond,
        reference: .init(name: "fio", value: device.map(\.perSecond).median)),
      hot("p50") { $0.percentile(0.5) }, hot("p99") { $0.percentile(0.99) }, hot("p99.9") { $0.percentile(0.999) },
    ]
  }

  private func hot(_ name: String, _ value: (Latencies) -> Double) -> Figure {
    Figure(name: "memory/hot-read/\(name)/latency", value: ours.map { value($0.hot) }.median, unit: .seconds)
  }

  var remarks: [String] {
    let pages = ours.map(\.pagesPerSecond).median
    let hits = ours.map { 100 * Double($0.hotHits) / Double(max(1, $0.hot.count)) }.median
    return [
      "\(target.rows.count) rows on \(target.pages) pages of 16 KiB, \(memory) of memory, \(Self.depth) reads at a time",
      "\(Int(pages)) pages/s came from the disk; "
        + "\(Self.hotPerSecond) reads/s of \(Self.hotRows) hot rows meanwhile, \(Int(hits)) % of them from memory",
      "fio alone: P99 \(Int(device.map(\.p99).median * 1e6)) µs",
    ]
  }
}
