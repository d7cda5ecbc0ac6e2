import Primitives
import Ring
import Store

/// Reads from a `PagedStore`: a fixed number of operations at a time, each on a random row; one that misses a page waits for
/// it and is made again. Meanwhile hot rows are read, one at each moment of a fixed timetable.
final class PagedReads {
  struct Result {
    /// Reads of random rows that ended, a second.
    var perSecond: Double
    /// Pages that came from the disk, a second.
    var pagesPerSecond: Double
    /// Of reads of hot rows, from the moment that the timetable says.
    var hot: Latencies
    /// How many of them found all in memory.
    var hotHits: Int
  }

  struct Plan {
    /// Operations on random rows at a time.
    var depth: Int
    /// Rows that are hot; they lie anywhere among the others.
    var hotRows: Int
    /// Reads of them, a second.
    var hotPerSecond: Int
  }

  /// Reads of hot rows that may wait for pages at a time; later ones wait for their turn.
  private static let hotAtOnce = 32
  /// An operation's reads that find all in memory go on at once, so many times before the others' turn.
  private static let hitsAtOnce = 8
  /// So many pages are looked at before the next orders leave: the disk is to have work meanwhile.
  private static let pagesAtOnce = 4

  private struct Operation {
    var row = 0
    /// Of a hot row: the moment of the timetable.
    var startedAt = Instant.zero
  }

  private let target: PagedStore
  private let plan: Plan
  private let zipf: Zipf
  private let ring: Ring
  private let buffers: AlignedBuffer
  private let key = AlignedBuffer(count: 4096)
  private var operations: [Operation]
  private var random = SeededRandom(seed: 32)

  /// Operations that wait for a page, by page: the first of them reads it.
  private var waiting: [PageID: (order: PageRead, operations: [Int])] = [:]
  /// Pages that have come and were not looked at.
  private var arrived: [PageID] = []
  private var ready: [Int] = []
  private var freeHot: [Int]
  private var nextHot = Instant.zero
  private var now = Instant.zero
  private var (reads, pageReads, hotHits) = (0, 0, 0)
  private var hot = Latencies()

  init(_ target: PagedStore, plan: Plan) throws(BenchError) {
    self.target = target
    self.plan = plan
    zipf = Zipf(count: plan.hotRows)
    let count = plan.depth + PagedReads.hotAtOnce
    ring = try BenchError.ring(entries: count)
    buffers = AlignedBuffer(count: count * PagedStore.pageBytes)
    operations = Array(repeating: Operation(), count: count)
    freeHot = Array(plan.depth..<count)
  }

  func run(seconds: Double) throws(BenchError) -> Result {
    (reads, pageReads, hotHits, hot) = (0, 0, 0, Latencies())
    now = ring.now()
    let start = now
    let end = start + Nanoseconds(UInt64(seconds * 1e9))
    nextHot = start
    for operation in 0..<plan.depth {
      operations[operation].row = randomRow()
      ready.append(operation)
    }
    while now < end { try turn() }
    let length = Double((now - start).rawValue) / 1e9
    let result = Result(
      perSecond: Double(reads) / length, pagesPerSecond: Double(pageReads) / length, hot: hot, hotHits: hotHits)
    try drain()
    return result
  }

  private func turn() throws(BenchError) {
    try startHot()
    for _ in 0..<min(arrived.count, PagedReads.pagesAtOnce) { try take(arrived.removeFirst()) }
    let batch = ready
    ready.removeAll(keepingCapacity: true)
    for operation in batch { try goOn(operation) }
    try harvest(until: ready.isEmpty && arrived.isEmpty ? nextMoment : Instant.zero)
  }

  /// When there is something to do though no page comes; nil when there is not: all reads wait for pages.
  private var nextMoment: Instant? { freeHot.isEmpty ? nil : nextHot }

  /// Waits for what is still on its way.
  private func drain() throws(BenchError) {
    while !waiting.isEmpty {
      if arrived.isEmpty { try harvest(until: nil) }
      for page in arrived { try take(page) }
      arrived.removeAll()
    }
    ready.removeAll()
    freeHot = Array(plan.depth..<operations.count)
  }

  // MARK: - Random rows

  private func randomRow() -> Int { Int(random.below(UInt64(target.rows.count))) }

  private func goOn(_ operation: Int) throws(BenchError) {
    if operation >= plan.depth {
      _ = try goOnHot(operation)
      return
    }
    for _ in 0..<PagedReads.hitsAtOnce {
      guard try attempt(operation) else { return }
      reads += 1
      operations[operation].row = randomRow()
    }
    ready.append(operation)
  }

  // MARK: - Hot rows

  /// Those whose moment has come.
  private func startHot() throws(BenchError) {
    let interval = Nanoseconds(1_000_000_000 / UInt64(plan.hotPerSecond))
    while nextHot <= now, let operation = freeHot.popLast() {
      operations[operation] = Operation(row: hotRow(zipf.rank(&random)), startedAt: nextHot)
      nextHot = nextHot + interval
      if try goOnHot(operation) { hotHits += 1 }
    }
  }

  private func goOnHot(_ operation: Int) throws(BenchError) -> Bool {
    guard try attempt(operation) else { return false }
    hot.add((ring.now() - operations[operation].startedAt).rawValue)
    freeHot.append(operation)
    return true
  }

  /// Hot rows are no neighbours.
  private func hotRow(_ rank: Int) -> Int {
    Int((UInt64(rank) &* 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: UInt64(target.rows.count)).high)
  }

  // MARK: - One read

  /// False when the operation now waits for a page.
  private func attempt(_ operation: Int) throws(BenchError) -> Bool {
    let row = operations[operation].row
    let key = UnsafeMutableRawBufferPointer(rebasing: self.key.bytes[..<Rows.keyBytes])
    target.rows.writeKey(row, to: key)
    let found: UnsafeRawBufferPointer?
    do throws(PageMissing) {
      found = try target.store.get(PagedStore.shard, UnsafeRawBufferPointer(key))
    } catch {
      wait(operation, for: error)
      return false
    }
    try target.check(found, row)
    return true
  }

  private func wait(_ operation: Int, for missing: PageMissing) {
    if waiting[missing.page] != nil {
      waiting[missing.page]?.operations.append(operation)
      return
    }
    let order = target.store.loadOrder(for: missing)
    waiting[missing.page] = (order, [operation])
    let token = UInt64(missing.page.rawValue)
    ring.read(target.file.descriptor, into: buffer(operation), at: order.fileOffset, token: token)
  }

  private func buffer(_ operation: Int) -> UnsafeMutableRawBufferPointer {
    let first = operation * PagedStore.pageBytes
    return UnsafeMutableRawBufferPointer(rebasing: buffers.bytes[first..<first + PagedStore.pageBytes])
  }

  /// Submits what was ordered and notes which pages have come.
  private func harvest(until deadline: Instant?) throws(BenchError) {
    let completions = ring.wait(until: deadline)
    now = ring.now()
    for completion in completions {
      guard completion.result == Int32(PagedStore.pageBytes) else {
        throw .failed("\(target.file.file.path): \(systemText(completion.code)) (read)")
      }
      arrived.append(PageID(UInt32(completion.token)))
    }
  }

  /// Whoever waited for the page can go on.
  private func take(_ page: PageID) throws(BenchError) {
    guard let (order, waited) = waiting.removeValue(forKey: page) else {
      preconditionFailure("a page that comes was waited for")
    }
    pageReads += 1
    try target.take(order, UnsafeRawBufferPointer(buffer(waited[0])))
    ready += waited
  }
}
