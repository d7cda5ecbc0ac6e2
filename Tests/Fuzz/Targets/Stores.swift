import Primitives

@testable import Store

extension FuzzTarget {
  /// Opening, verifying and reading of a page file that was edited.
  ///
  ///     flags     1     bit 0: checksums are made right
  ///     edits     …     page u8, place u8 (`EditedPages.places`, or an offset), then a number or bytes
  static let store = FuzzTarget(
    "store", inputBytesMax: 512, memory: MemoryBound(base: 16 << 20, perInputByte: 1024), seeds: { storeSeeds() }
  ) { input in
    var input = input
    let flags = input.byte()
    var edited = EditedPages()
    for _ in 0..<16 where !input.isAtEnd { edited.apply(&input) }
    if flags & 1 != 0 { edited.seal() }
    let store: Store
    do throws(StoreRefusal) { store = try edited.file.open(framesMax: 512) } catch {
      return require(!"\(error)".isEmpty, "a refusal says what is wrong")
    }
    if flags & 1 == 0 {
      checkServesOnlyWhatWasWritten(store, edited.file)
    } else {
      checkVerified(store, edited.file)
    }
  }

  /// Rot is found, or was in what nobody reads: no row is served that was not written.
  private static func checkServesOnlyWhatWasWritten(_ store: Store, _ file: PageFile) {
    guard let rows = StoreImage.shared.rows[store.durableEpoch] else { return }
    do throws(PageDamage) {
      for row in rows {
        let value = try file.reading(store) { () throws(PageMissing) in
          try row.key.withBytes { key throws(PageMissing) in try store.get(StoreImage.shard, key).map { Array($0) } }
        }
        require(value == row.value, "a row that is served is the row that was written")
      }
    } catch { require(!error.description.isEmpty, "damage is named") }
  }

  /// What the verifier calls sound is served as the verifier has read it, and can be changed. The older checkpoint is
  /// verified too: the store has to leave its pages alone.
  private static func checkVerified(_ store: Store, _ file: PageFile) {
    var file = file
    var rows: [Epoch: [ShardID: [StoreImage.Row]]] = [:]
    var shards: [ShardID] = []
    for superblock in superblocks(file) {
      guard superblock.pageCount <= 4096 else { return }
      let report = verifyStore(&file, superblock) { shard, key, value in
        rows[superblock.epoch, default: [:]][shard, default: []].append(StoreImage.Row(key: Array(key), value: value))
      }
      guard report.isSound else { return }
      if superblock.epoch == store.durableEpoch { shards = report.shards.map(\.shard) }
    }
    do throws(PageDamage) {
      for shard in shards {
        let served = try served(shard, store, file)
        require(served == rows[store.durableEpoch]?[shard] ?? [], "a sound shard is served as it was verified")
        try change(shard, store, file)
      }
    } catch { fatalError("a sound file is damaged: \(error)") }
    checkCheckpoint(store, &file)
  }

  private static func checkCheckpoint(_ store: Store, _ file: inout PageFile) {
    store.checkInvariants()
    file.checkpoint(store)
    guard let next = superblocks(file).first(where: { $0.epoch == store.durableEpoch }) else {
      fatalError("a checkpoint leaves a superblock")
    }
    let after = verifyStore(&file, next)
    require(after.isSound, "a sound file stays sound: \(after.findings.map(\.description).joined(separator: "; "))")
  }

  /// Those that can be read and stand where they belong.
  private static func superblocks(_ file: PageFile) -> [Superblock] {
    file.pages.prefix(2).enumerated().compactMap { slot, page in
      let found = try? page.withBytes { raw throws(SuperblockProblem) in try Superblock.decode(raw) }
      return found.flatMap { $0.slot.rawValue == slot ? $0 : nil }
    }
  }

  private static func served(
    _ shard: ShardID, _ store: Store, _ file: PageFile
  ) throws(PageDamage) -> [StoreImage.Row] {
    try file.reading(store) { () throws(PageMissing) in
      var rows: [StoreImage.Row] = []
      let cursor = try store.cursor(shard)
      var isOn = try cursor.first()
      while isOn {
        rows.append(StoreImage.Row(key: Array(try cursor.key()), value: Array(try cursor.value())))
        isOn = try cursor.next()
      }
      return rows
    }
  }

  /// Puts a few rows and deletes some.
  private static func change(_ shard: ShardID, _ store: Store, _ file: PageFile) throws(PageDamage) {
    for number in 0..<30 {
      let key = utf8("key-\(10_000 + number * 7)")
      let value = [UInt8](repeating: 1, count: 200)
      try key.withBytes { key throws(PageDamage) in
        let isPrepared: Void? = try file.preparing(store) { () throws(PrepareFailure) in
          if number % 3 == 0 {
            try store.prepareDelete(shard, key)
          } else {
            try store.prepareWrite(shard, key, valueCount: value.count)
          }
        }
        guard isPrepared != nil else { return }
        if number % 3 == 0 { store.delete(shard, key) } else { value.withBytes { store.put(shard, key, $0) } }
      }
      store.endWrite()
    }
  }

  private static func storeSeeds() -> [[UInt8]] {
    var seeds: [[UInt8]] = [[0], [1]]
    for page in 0..<UInt8(StoreImage.shared.file.pages.count) {
      for place in 0..<UInt8(EditedPages.places.count) { seeds.append([1, page, place, 3, 0, 0, 0]) }
      seeds.append([0, page, 250, 200, 20, 1, 255])
      seeds.append([1, page, 251, 1, 5, 0, 0, 0])
    }
    return seeds
  }
}

private struct EditedPages {
  private(set) var file = StoreImage.shared.file

  /// Fields of superblocks and pages: offset and width.
  static let places: [(Int, Int)] = [
    (0, 2), (2, 1), (3, 1), (4, 4), (8, 8), (16, 2), (18, 2), (20, 2), (22, 1), (24, 4), (32, 1), (64, 8), (72, 8),
    (16, 8), (46, 2), (64, 4), (68, 4), (72, 4), (80, 8), (88, 8), (96, 8), (128, 4), (136, 8),
  ]

  mutating func apply(_ input: inout Input) {
    let page = Int(input.byte()) % file.pages.count
    switch input.byte() {
    case 250: write(input.sized(), page, at: Int(input.number(UInt16.self)))
    case 251: set(record(page, Int(input.byte())) + Int(input.byte()) % 64, 4, page, &input)
    case 252: write(file.pages[Int(input.byte()) % file.pages.count], page, at: 0)
    case 253: file.pages.removeLast(min(Int(input.byte()) % 4, file.pages.count - 2))
    case let place:
      let (offset, width) = EditedPages.places[Int(place) % EditedPages.places.count]
      set(offset, width, page, &input)
    }
  }

  /// Where record `index` of a tree page is.
  private func record(_ page: Int, _ index: Int) -> Int {
    let slot = Page.headerCount + 8 * (index % 256)
    return Int(file.pages[page][slot]) | Int(file.pages[page][slot + 1]) << 8
  }

  private mutating func set(_ offset: Int, _ width: Int, _ page: Int, _ input: inout Input) {
    write((0..<width).map { _ in input.byte() }, page, at: offset)
  }

  private mutating func write(_ bytes: [UInt8], _ page: Int, at offset: Int) {
    let start = offset % Page.byteCount
    let count = min(bytes.count, Page.byteCount - start)
    file.pages[page].replaceSubrange(start..<start + count, with: bytes.prefix(count))
  }

  // MARK: Checksums

  /// Makes every pointer say the checksum of what it points to, children first; then the superblocks their own.
  mutating func seal() {
    for place in StoreImage.shared.pointers.reversed() where place.holder < file.pages.count {
      let target = Int(number(place.holder, place.offset))
      guard target >= 2, target < file.pages.count else { continue }
      put(crc32c(file.pages[target]), place.holder, place.offset + 4)
    }
    for slot in 0..<2 {
      put(0, slot, 12)
      put(crc32c(file.pages[slot]), slot, 12)
    }
  }

  private func number(_ page: Int, _ offset: Int) -> UInt32 {
    file.pages[page].withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }

  private mutating func put(_ value: UInt32, _ page: Int, _ offset: Int) {
    withUnsafeBytes(of: value.littleEndian) { new in
      for i in 0..<4 { file.pages[page][offset + i] = new[i] }
    }
  }
}
