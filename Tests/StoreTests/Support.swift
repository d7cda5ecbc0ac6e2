// What the tests share: a disk that can lose and tear unsynced writes, a driver, and a plain model of a shard.

import Primitives

@testable import Store

let pageBytes = 16_384

let testIdentity = StoreIdentity(
  cluster: Array(1...16), node: NodeID(2), lane: LaneID(3), incarnation: Incarnation(0x1111), directory: 0x2222)

/// A file in memory. What is written is read back at once, but survives a crash only after `sync`.
struct VirtualDisk {
  private(set) var current: [UInt8]
  private var durable: [UInt8]
  private var unsynced: [(offset: Int, bytes: [UInt8])] = []

  init(_ bytes: [UInt8]) {
    current = bytes
    durable = bytes
  }

  static func formatted() -> VirtualDisk {
    let (first, second) = Store.format(identity: testIdentity)
    return VirtualDisk(first + second)
  }

  var pageCount: Int { current.count / pageBytes }

  func page(_ page: PageID) -> [UInt8] {
    let start = Int(page.fileOffset)
    guard start + pageBytes <= current.count else { return [UInt8](repeating: 0, count: pageBytes) }
    return Array(current[start..<start + pageBytes])
  }

  mutating func write(_ bytes: [UInt8], at offset: Int) {
    if current.count < offset + bytes.count { grow(to: offset + bytes.count) }
    current.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    unsynced.append((offset, bytes))
  }

  mutating func grow(to count: Int) {
    guard count > current.count else { return }
    current.append(contentsOf: [UInt8](repeating: 0, count: count - current.count))
  }

  /// Nothing that is not durable stands behind the new end.
  mutating func shrink(to count: Int) {
    guard count < current.count else { return }
    current.removeLast(current.count - count)
    if durable.count > count { durable.removeLast(durable.count - count) }
    unsynced.removeAll { $0.offset >= count }
  }

  mutating func sync() {
    if durable.count < current.count {
      durable.append(contentsOf: [UInt8](repeating: 0, count: current.count - durable.count))
    }
    for (offset, bytes) in unsynced { durable.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
    unsynced = []
  }

  /// Rot: of what is durable.
  mutating func flip(_ offset: Int, mask: UInt8) {
    current[offset] ^= mask
    durable[offset] ^= mask
  }

  /// The power fails: of each unsynced write nothing, all, or only some of its 512-byte sectors reach the disk.
  mutating func crash(_ random: inout SeededRandom) {
    let size = random.chance(1, outOf: 2) ? current.count : durable.count
    current = durable + [UInt8](repeating: 0, count: size - durable.count)
    for (offset, bytes) in unsynced {
      let fate = random.below(3)
      for sector in stride(from: 0, to: bytes.count, by: 512) {
        let keeps = fate == 1 || fate == 2 && random.chance(1, outOf: 2)
        let range = offset + sector..<offset + sector + 512
        if keeps, range.upperBound <= current.count {
          current.replaceSubrange(range, with: bytes[sector..<sector + 512])
        }
      }
    }
    durable = current
    unsynced = []
  }
}

extension VirtualDisk: PageSource {
  mutating func read(_ page: PageID, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    buffer.copyBytes(from: self.page(page))
    return true
  }

  /// The newer good superblock.
  func newestSuperblock() -> Superblock? {
    let found = (0..<2).compactMap { slot in
      page(PageID(UInt32(slot))).withUnsafeBytes { try? Superblock.decode($0) }
    }
    return found.max { $0.epoch < $1.epoch }
  }
}

func defaultLimits() -> StoreLimits {
  var limits = StoreLimits(framesMax: 40_000, pagesMax: 100_000)
  limits.growPages = 16
  return limits
}

/// A store on a virtual disk: performs loads and checkpoints.
final class Harness {
  var disk: VirtualDisk
  var store: Store
  var loads = 0
  /// The file cannot grow.
  var isDiskFull = false
  let limits: StoreLimits

  init(_ disk: VirtualDisk = .formatted(), limits: StoreLimits = defaultLimits()) throws(StoreRefusal) {
    self.disk = disk
    self.limits = limits
    store = try Harness.open(disk, limits: limits)
  }

  static func open(_ disk: VirtualDisk, limits: StoreLimits) throws(StoreRefusal) -> Store {
    let result = disk.page(PageID(0)).withUnsafeBytes { first in
      disk.page(PageID(1)).withUnsafeBytes { second -> Result<Store, StoreRefusal> in
        do throws(StoreRefusal) {
          return .success(
            try Store(
              superblocks: first, second, fileBytes: UInt64(disk.current.count), identity: testIdentity,
              limits: limits))
        } catch { return .failure(error) }
      }
    }
    return try result.get()
  }

  func reopen() throws(StoreRefusal) { store = try Harness.open(disk, limits: limits) }

  func load(_ missing: PageMissing) throws(PageDamage) {
    loads += 1
    let order = store.loadOrder(for: missing)
    let bytes = disk.page(order.page)
    let damage = bytes.withUnsafeBytes { bytes -> PageDamage? in
      do throws(PageDamage) {
        try store.pageLoaded(order, bytes)
        return nil
      } catch { return error }
    }
    if let damage { throw damage }
  }

  /// Runs `body` until it no longer misses.
  func retry<T>(_ body: () throws(PageMissing) -> T) throws(PageDamage) -> T {
    while true {
      do throws(PageMissing) { return try body() } catch { try load(error) }
    }
  }

  func prepare(_ body: () throws(PrepareFailure) -> Void) throws {
    while true {
      do throws(PrepareFailure) { return try body() } catch {
        guard case .missing(let missing) = error else { throw error }
        try load(missing)
      }
    }
  }
}

/// `Array.withUnsafeBytes` with a typed error.
func withBytes<T>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(PageMissing) -> T
) throws(PageMissing) -> T {
  let result = bytes.withUnsafeBytes { bytes -> Result<T, PageMissing> in
    do throws(PageMissing) { return .success(try body(bytes)) } catch { return .failure(error) }
  }
  return try result.get()
}

// MARK: Operations, each a batch of its own

let shard = ShardID(7)

extension Harness {
  func create(_ shard: ShardID = shard) throws {
    try prepare { () throws(PrepareFailure) in try store.prepareShard(shard) }
    store.createShard(shard)
    store.endWrite()
  }

  func put(_ key: [UInt8], _ value: [UInt8], in shard: ShardID = shard) throws {
    try key.withUnsafeBytes { key in
      try value.withUnsafeBytes { value in
        try prepare { () throws(PrepareFailure) in
          try store.prepareWrite(shard, key, valueCount: value.count)
        }
        store.put(shard, key, value)
      }
    }
    store.endWrite()
  }

  @discardableResult
  func delete(_ key: [UInt8], in shard: ShardID = shard) throws -> Bool {
    let removed = try key.withUnsafeBytes { key in
      try prepare { () throws(PrepareFailure) in try store.prepareDelete(shard, key) }
      return store.delete(shard, key)
    }
    store.endWrite()
    return removed
  }

  /// Replaces or deletes (nil) a key that exists, and keeps what it was.
  func replace(_ key: [UInt8], by value: [UInt8]?, keepingOldAs kept: [UInt8], in shard: ShardID = shard) throws {
    try key.withUnsafeBytes { key in
      try kept.withUnsafeBytes { kept in
        try prepare { () throws(PrepareFailure) in
          if let value {
            try store.prepareWrite(shard, key, valueCount: value.count)
          } else {
            try store.prepareDelete(shard, key)
          }
          try store.prepareKeep(shard, as: kept, forDelete: value == nil)
        }
        if let value {
          value.withUnsafeBytes { store.put(shard, key, $0, keepingOldAs: kept) }
        } else {
          store.delete(shard, key, keepingOldAs: kept)
        }
      }
    }
    store.endWrite()
  }

  func get(_ key: [UInt8], in shard: ShardID = shard) throws(PageDamage) -> [UInt8]? {
    try retry { () throws(PageMissing) -> [UInt8]? in
      try withBytes(key) { key throws(PageMissing) -> [UInt8]? in
        guard let value = try store.get(shard, key) else { return nil }
        return Array(value)
      }
    }
  }

  /// What a command does before it writes to a key.
  func getToWrite(_ key: [UInt8], in shard: ShardID = shard) throws(PageDamage) -> [UInt8]? {
    try retry { () throws(PageMissing) -> [UInt8]? in
      try withBytes(key) { key throws(PageMissing) -> [UInt8]? in
        guard let value = try store.getToWrite(shard, key) else { return nil }
        return Array(value)
      }
    }
  }

  /// The put without a batch. Nil, and nothing has changed, when it takes one; else what was there before.
  func putAtOnce(
    _ key: [UInt8], _ value: [UInt8], ahead: LeafAhead = .none, in shard: ShardID = shard
  ) throws(PageDamage) -> [UInt8]?? {
    let place = try retry { () throws(PageMissing) -> LeafPlace? in
      try withBytes(key) { key throws(PageMissing) in try store.placeAtOnce(shard, key, ahead: ahead) }
    }
    guard let place else { return nil }
    let before = place.value.map { Array($0) }
    return key.withUnsafeBytes { key -> [UInt8]?? in
      guard let target = store.open(place, key, valueCount: value.count) else { return nil }
      value.withUnsafeBytes { target.copyMemory(from: $0) }
      return .some(before)
    }
  }

  func setMetadata(_ bytes: [UInt8], of shard: ShardID = shard) throws {
    try prepare { () throws(PrepareFailure) in try store.prepareShard(shard) }
    store.setMetadata(shard, bytes)
    store.endWrite()
  }

  /// All rows, forwards; a miss goes on behind the last row that was seen.
  func rows(in shard: ShardID = shard) throws(PageDamage) -> [Row] {
    let cursor = try retry { () throws(PageMissing) in try store.cursor(shard) }
    var rows: [Row] = []
    var isOn = try retry { () throws(PageMissing) in try cursor.first() }
    while isOn {
      rows.append(
        try retry { () throws(PageMissing) in Row(key: Array(try cursor.key()), value: Array(try cursor.value())) })
      isOn = try retry { () throws(PageMissing) in try cursor.next() }
    }
    return rows
  }

  func rowsBackwards(in shard: ShardID = shard) throws(PageDamage) -> [Row] {
    let cursor = try retry { () throws(PageMissing) in try store.cursor(shard) }
    var rows: [Row] = []
    var isOn = try retry { () throws(PageMissing) in try cursor.last() }
    while isOn {
      rows.append(
        try retry { () throws(PageMissing) in
          let row = try cursor.row()
          return Row(key: Array(row.key), value: Array(row.value))
        })
      isOn = try retry { () throws(PageMissing) in try cursor.previous() }
    }
    return rows
  }
}

struct Row: Equatable {
  var key: [UInt8]
  var value: [UInt8]
}

// MARK: Checkpoints

extension Harness {
  /// Runs a checkpoint to its end. `before` is asked before each order is performed; false stops there, as a crash would.
  @discardableResult
  func checkpoint(before: (CheckpointEffect) throws -> Bool = { _ in true }) throws -> [CheckpointEffect] {
    var orders: [CheckpointEffect] = []
    store.beginCheckpoint(into: &orders)
    return try run(orders, before: before)
  }

  /// Performs orders and those that follow.
  func run(
    _ orders: [CheckpointEffect], before: (CheckpointEffect) throws -> Bool = { _ in true }
  ) throws -> [CheckpointEffect] {
    var all: [CheckpointEffect] = []
    var waiting = orders
    while !waiting.isEmpty {
      let effect = waiting.removeFirst()
      all.append(effect)
      guard try before(effect) else { break }
      if let event = perform(effect) { store.step(event, into: &waiting) }
    }
    return all
  }

  private func perform(_ effect: CheckpointEffect) -> CheckpointEvent? {
    switch effect {
    case .grow where isDiskFull: return .failed(.grow, errno: 28)
    case .grow(let count):
      disk.grow(to: Int(count))
      return .grown
    case .shrink(let count):
      disk.shrink(to: Int(count))
      return .shrunk
    case .writePage(let page, let offset):
      disk.write(Array(store.bytes(of: page)), at: Int(offset))
      return .written(page)
    case .sync:
      disk.sync()
      return .synced
    case .awaitLog: return .logDurable
    case .writeSuperblock(let page, let offset):
      disk.write(Array(store.bytes(of: page)), at: Int(offset))
      disk.sync()
      return .superblockWritten
    case .awaitRoom, .finished, .failed: return nil
    }
  }

  /// Tells the store one thing about its checkpoint; what it orders then.
  func step(_ event: CheckpointEvent) -> [CheckpointEffect] {
    var effects: [CheckpointEffect] = []
    store.step(event, into: &effects)
    return effects
  }

  /// Checks the newest checkpoint on the disk from end to end.
  func verify() -> VerifyReport {
    guard let superblock = disk.newestSuperblock() else { preconditionFailure("a superblock is good") }
    return verifyStore(&disk, superblock)
  }
}

// MARK: The model

/// Rows in a sorted array: plain, slow, right.
struct Model: Equatable {
  private(set) var rows: [Row] = []

  func place(_ key: [UInt8]) -> (index: Int, found: Bool) {
    var (low, high) = (0, rows.count)
    while low < high {
      let middle = (low + high) / 2
      if rows[middle].key.lexicographicallyPrecedes(key) { low = middle + 1 } else { high = middle }
    }
    return (low, low < rows.count && rows[low].key == key)
  }

  func get(_ key: [UInt8]) -> [UInt8]? {
    let (index, found) = place(key)
    return found ? rows[index].value : nil
  }

  mutating func put(_ key: [UInt8], _ value: [UInt8]) {
    let (index, found) = place(key)
    if found { rows[index].value = value } else { rows.insert(Row(key: key, value: value), at: index) }
  }

  mutating func delete(_ key: [UInt8]) -> Bool {
    let (index, found) = place(key)
    if found { rows.remove(at: index) }
    return found
  }

  var bytes: Int { rows.reduce(0) { $0 + $1.key.count + $1.value.count } }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A key like those of tables: the same first bytes, then a number.
func numbered(_ n: Int) -> [UInt8] {
  bytes("table/0001/") + withUnsafeBytes(of: UInt64(n).bigEndian) { Array($0) }
}

/// Bytes that differ by seed and place: 8 bytes of a counter at a time.
func filled(_ count: Int, _ seed: Int) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: count + 8) { buffer, used in
    var value = UInt64(truncatingIfNeeded: seed) &* 0x9e37_79b9_7f4a_7c15 &+ 1
    for offset in stride(from: 0, to: count, by: 8) {
      UnsafeMutableRawBufferPointer(buffer).storeBytes(of: value, toByteOffset: offset, as: UInt64.self)
      value = value &* 0x5851_f42d_4c95_7f2d &+ 0x1405_7b7e_f767_814f
    }
    used = count
  }
}

// MARK: Ranges

extension Harness {
  /// Deletes a range of which the model knows what is in it.
  func deleteRange(_ from: [UInt8], _ to: [UInt8], _ model: inout Model, in shard: ShardID = shard) throws {
    let removed = model.deleteRange(from, to)
    try from.withUnsafeBytes { from in
      try to.withUnsafeBytes { to in
        try prepare { () throws(PrepareFailure) in try store.prepareDeleteRange(shard, from: from, to: to) }
        store.deleteRange(shard, from: from, to: to, rows: removed.rows, bytes: removed.bytes)
      }
    }
    store.endWrite()
  }

  /// Frees what was discarded. Returns whether nothing is left.
  @discardableResult
  func reclaim(pagesMax: Int = .max) throws -> Bool {
    var isDone = false
    try prepare { () throws(PrepareFailure) in isDone = try store.reclaim(pagesMax: pagesMax) }
    return isDone
  }
}

extension Model {
  mutating func deleteRange(_ from: [UInt8], _ to: [UInt8]) -> (rows: UInt64, bytes: UInt64) {
    let range = place(from).index..<place(to).index
    let removed = rows[range]
    defer { rows.removeSubrange(range) }
    return (UInt64(removed.count), UInt64(removed.reduce(0) { $0 + $1.key.count + $1.value.count }))
  }
}
