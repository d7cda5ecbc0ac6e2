import Primitives
import Ring
import Store

/// The Store on a real page file that is larger than its memory: pages are read and written past the page cache (O_DIRECT).
final class PagedStore {
  static let shard = StoreEngine.shard
  static let pageBytes = 16 << 10

  let store: Store
  let file: OpenFile
  let rows: NumberedRows
  private let scratch: Scratch
  private let key = AlignedBuffer(count: 4096)
  private let value = AlignedBuffer(count: 4096)
  private let page = AlignedBuffer(count: PagedStore.pageBytes)

  /// `memoryBytes` is the memory for pages.
  init(under directory: String, rows: NumberedRows, memoryBytes: Int) throws(BenchError) {
    self.rows = rows
    scratch = try Scratch(under: directory)
    file = try OpenFile("\(scratch.path)/pages", [.write, .create, .direct])
    // Rows that come in key order fill their leaves; copies of a checkpoint lie beside them until the next but one.
    let pages = rows.count / 100 + 2 * memoryBytes / Self.pageBytes + 8192
    store = try StoreEngine.emptyStore(frames: memoryBytes / Self.pageBytes, pages: pages)
    try load()
  }

  /// Pages of the file's trees.
  var pages: Int { store.statistics.livePages }

  /// Checks a value that was read.
  func check(_ found: UnsafeRawBufferPointer?, _ number: Int) throws(BenchError) {
    guard let found, rows.isValue(found, of: number) else { throw .failed("row \(number) is not what was inserted") }
  }

  // MARK: - Loading, in key order

  private func load() throws(BenchError) {
    for number in 0..<rows.count {
      while try !insert(number) { try checkpoint() }
    }
    try checkpoint()
  }

  /// False when pages have to be written first.
  private func insert(_ number: Int) throws(BenchError) -> Bool {
    let key = UnsafeMutableRawBufferPointer(rebasing: self.key.bytes[..<Rows.keyBytes])
    let value = UnsafeMutableRawBufferPointer(rebasing: self.value.bytes[..<Rows.valueBytes])
    rows.writeKey(number, to: key)
    rows.writeValue(number, to: value)
    defer { store.endWrite() }
    guard try prepare(UnsafeRawBufferPointer(key)) else { return false }
    store.put(Self.shard, UnsafeRawBufferPointer(key), UnsafeRawBufferPointer(value))
    return true
  }

  private func prepare(_ key: UnsafeRawBufferPointer) throws(BenchError) -> Bool {
    while true {
      do throws(PrepareFailure) {
        try store.prepareWrite(Self.shard, key, valueCount: Rows.valueBytes)
        return true
      } catch {
        switch error {
        case .missing(let missing): try load(missing)
        case .outOfMemory: return false
        case .diskFull: throw .failed("the page file is full")
        }
      }
    }
  }

  private func load(_ missing: PageMissing) throws(BenchError) {
    let read = store.loadOrder(for: missing)
    let count = try BenchError.system { () throws(SystemError) in
      try file.file.read(into: page.bytes, at: read.fileOffset)
    }
    guard count == Self.pageBytes else { throw .failed("the page file ends before page \(read.page)") }
    try take(read, page.readOnly)
  }

  /// A page has come.
  func take(_ read: PageRead, _ bytes: UnsafeRawBufferPointer) throws(BenchError) {
    do throws(PageDamage) { try store.pageLoaded(read, bytes) } catch { throw .failed("\(error)") }
  }

  private func checkpoint() throws(BenchError) {
    var writer = try PageWriter(store: store, file: file)
    try writer.run()
  }
}

/// One checkpoint, driven to its end.
private struct PageWriter {
  let store: Store
  let file: OpenFile
  private let ring: Ring
  private var effects: [CheckpointEffect] = []
  private var isFinished = false

  init(store: Store, file: OpenFile) throws(BenchError) {
    self.store = store
    self.file = file
    ring = try BenchError.ring(entries: store.limits.writesInFlightMax)
  }

  mutating func run() throws(BenchError) {
    store.beginCheckpoint(into: &effects)
    while !isFinished {
      while !effects.isEmpty { try performAll() }
      if !isFinished { try takeCompletions() }
    }
  }

  private mutating func performAll() throws(BenchError) {
    let orders = effects
    effects.removeAll()
    for order in orders { try perform(order) }
  }

  private mutating func perform(_ effect: CheckpointEffect) throws(BenchError) {
    switch effect {
    case .grow(let bytes):
      try BenchError.system { () throws(SystemError) in try file.file.preallocate(bytes) }
      store.step(.grown, into: &effects)
    case .writePage(let page, let offset):
      ring.write(file.descriptor, store.bytes(of: page), at: offset, token: UInt64(page.rawValue))
    case .sync:
      try BenchError.system { () throws(SystemError) in try file.file.synchronize() }
      store.step(.synced, into: &effects)
    case .awaitLog: store.step(.logDurable, into: &effects)
    case .writeSuperblock(let page, let offset):
      try BenchError.system { () throws(SystemError) in
        try file.file.write(store.bytes(of: page), at: offset)
        try file.file.synchronize()
      }
      store.step(.superblockWritten, into: &effects)
    case .finished: isFinished = true
    case .shrink, .awaitRoom, .failed: throw .failed("the page file cannot be written")
    }
  }

  private mutating func takeCompletions() throws(BenchError) {
    for completion in ring.wait(until: nil) {
      guard completion.result == Int32(PagedStore.pageBytes) else {
        throw .failed("\(file.file.path): \(systemText(completion.code)) (write)")
      }
      store.step(.written(PageID(UInt32(completion.token))), into: &effects)
    }
  }
}
