import Glibc
import Node
import Primitives
import Raft
import Ring
import Store
import Tables

/// Fills the page file of a formatted lane, by the node's own commands and the store's own checkpoints. Keys rise, so pages are
/// full and each is written once.
final class StoredRows {
  /// 512 MiB of pages, of which three eighths may be dirty.
  private static let framesMax = 32_768
  private static let shard = Node.onlyShard
  private static let digits = Array("0123456789abcdef".utf8)

  private let store: Store
  private let machine: ShardMachine
  private let file: OpenFile
  private let ring: Ring
  private let buffer = AlignedBuffer(count: Store.pageBytes)
  private var orders: [CheckpointEffect] = []
  private var isCheckpointing = false
  private var writesInFlight = 0

  init(path: String, _ identity: StoreIdentity) throws(BenchError) {
    file = try OpenFile(path, [.write, .direct])
    ring = try BenchError.ring(entries: 64)
    store = try StoredRows.open(file, identity)
    machine = ShardMachine(shard: Self.shard)
    try loading { () throws(PageMissing) in try machine.restore(store) }
  }

  /// The kernel has pages of ours as long as a write is under way.
  deinit {
    while writesInFlight > 0 { writesInFlight -= ring.wait(until: nil).count }
  }

  private static func open(_ file: borrowing OpenFile, _ identity: StoreIdentity) throws(BenchError) -> Store {
    let superblocks = AlignedBuffer(count: 2 * Store.pageBytes)
    let size = try BenchError.system { () throws(SystemError) in
      _ = try file.file.read(into: superblocks.bytes, at: 0)
      return try file.file.size()
    }
    do throws(StoreRefusal) {
      return try Store(
        superblocks: UnsafeRawBufferPointer(rebasing: superblocks.readOnly[..<Store.pageBytes]),
        UnsafeRawBufferPointer(rebasing: superblocks.readOnly[Store.pageBytes...]), fileBytes: size,
        identity: identity, limits: StoreLimits(framesMax: framesMax, pagesMax: 64 << 20))
    } catch { throw .failed("the page file cannot be opened: \(error)") }
  }

  /// The key of one of `count` stored rows: 16 letters and digits, rising with the number and spread over all keys.
  static func key(_ number: Int, of count: Int) -> [UInt8] {
    let value = UInt64(number) * (UInt64.max / UInt64(count))
    return (0..<16).map { digits[Int(value >> UInt64(60 - 4 * $0) & 15)] }
  }

  /// Puts so many rows and makes them durable. Returns the index that the checkpoint says is applied.
  func fill(_ count: Int, _ commands: RowCommands, _ founders: Raft.Configuration) throws(BenchError) -> LogIndex {
    try apply(commands.createTable, LogIndex(1))
    for number in 0..<count {
      let command = try Self.key(number, of: count).withBytes { key throws(BenchError) in try commands.put(key) }
      try apply(command, LogIndex(UInt64(number) + 2))
      if store.statistics.dirtyPages > Self.framesMax / 4 { try checkpoint() }
    }
    let last = LogIndex(UInt64(count) + 1)
    let record = ReplicaRecord(
      appliedIndex: last, appliedTerm: LogDriver.term, totals: machine.totals, configurationIndex: .zero,
      configuration: founders, hardState: HardState(term: LogDriver.term))
    try preparing { () throws(PrepareFailure) in try store.prepareShard(Self.shard) }
    store.setMetadata(Self.shard, record.encoded())
    store.endWrite()
    try checkpoint()
    return last
  }

  private func apply(_ command: [UInt8], _ index: LogIndex) throws(BenchError) {
    try command.withBytes { bytes throws(BenchError) in
      try preparing { () throws(PrepareFailure) in
        _ = try machine.apply(bytes, version: Timestamp(index: index, ordinal: 0), store: store)
      }
    }
  }

  // MARK: - Pages

  private func preparing(_ body: () throws(PrepareFailure) -> Void) throws(BenchError) {
    while true {
      do throws(PrepareFailure) { return try body() } catch {
        guard case .missing(let missing) = error else { throw .failed("the store has no room: \(error)") }
        try load(missing)
      }
    }
  }

  private func loading(_ body: () throws(PageMissing) -> Void) throws(BenchError) {
    while true {
      do throws(PageMissing) { return try body() } catch { try load(error) }
    }
  }

  private func load(_ missing: PageMissing) throws(BenchError) {
    let order = store.loadOrder(for: missing)
    _ = try BenchError.system { () throws(SystemError) in
      try file.file.read(into: buffer.bytes, at: order.fileOffset)
    }
    do throws(PageDamage) { try store.pageLoaded(order, buffer.readOnly) } catch {
      throw .failed("a page that was just written is damaged: \(error)")
    }
  }

  // MARK: - Checkpoints

  private func checkpoint() throws(BenchError) {
    isCheckpointing = true
    store.beginCheckpoint(into: &orders)
    while isCheckpointing {
      let taken = orders
      orders.removeAll(keepingCapacity: true)
      for order in taken { try perform(order) }
      if orders.isEmpty, isCheckpointing { try takeWrites() }
    }
  }

  private func perform(_ order: CheckpointEffect) throws(BenchError) {
    switch order {
    case .grow(let bytes):
      try BenchError.system { () throws(SystemError) in try file.file.preallocate(bytes) }
      store.step(.grown, into: &orders)
    case .writePage(let page, let offset):
      writesInFlight += 1
      ring.write(file.file.descriptor, store.bytes(of: page), at: offset, token: UInt64(page.rawValue))
    case .sync:
      try BenchError.system { () throws(SystemError) in try file.file.synchronize() }
      store.step(.synced, into: &orders)
    case .awaitLog: store.step(.logDurable, into: &orders)
    case .writeSuperblock(let page, let offset):
      try BenchError.system { () throws(SystemError) in
        try file.file.write(store.bytes(of: page), at: offset)
        try file.file.synchronize()
      }
      store.step(.superblockWritten, into: &orders)
    case .finished: isCheckpointing = false
    case .shrink, .awaitRoom, .failed: throw .failed("the disk has no room for the rows: \(order)")
    }
  }

  private func takeWrites() throws(BenchError) {
    let completions = ring.wait(until: nil)
    writesInFlight -= completions.count
    for completion in completions {
      guard completion.result == Int32(Store.pageBytes) else {
        throw .failed("a page cannot be written: \(systemText(completion.code))")
      }
      store.step(.written(PageID(UInt32(completion.token))), into: &orders)
    }
  }
}
