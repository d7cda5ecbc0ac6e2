// Which pages of the file are in use, and by whom: the newest trees, or only a superblock that they have moved on from.
//
//     live    bit set: part of the newest trees. What a checkpoint's bitmap pages say.
//     busy    live, or owed to a superblock. A clear bit is a page that can be taken.
//
// A bitmap page (kind 3) holds 130 304 bits behind its header, page n of the file being bit n % 130304 of bitmap page
// n / 130304, lowest bit of the lowest byte first. Bitmap pages are copy-on-write pages like all others.

enum Bitmap {
  static let bitsPerPage = Page.contentCount * 8
  static let wordsPerPage = Page.contentCount / 8
}

struct Space {
  private(set) var live: UnsafeMutablePointer<UInt64>
  private(set) var busy: UnsafeMutablePointer<UInt64>
  private var wordCount = 0
  /// One above the highest page in use when it was last trimmed, or taken since.
  private(set) var pageCount: UInt32
  private(set) var liveCount = 2
  private(set) var owedCount = 0
  /// Clear bits of `busy` below `pageCount`.
  private(set) var freeCount = 0
  /// No free page stands in a word below.
  private var hint = 0

  /// Bitmap pages of the last freeze, and which of them no longer say what `live` says.
  var bitmaps: [PagePointer]
  private(set) var isChanged: [Bool]

  /// Bitmap pages that must come in before anything can be changed: those of the superblock in use and of the older one.
  private(set) var awaited: [PagePointer]
  private let older: [PagePointer]

  /// Pages freed in the epoch that is being changed: the checkpoint before still has them.
  private var freedCurrent: [UInt32] = []
  /// Freed in the epoch that is being written.
  private var freedFrozen: [UInt32] = []
  /// Freed in the newest durable epoch: the older superblock still has them.
  private var freedOlder: [UInt32] = []

  init(newest: Superblock, older: Superblock?) {
    live = .allocate(capacity: 1)
    busy = .allocate(capacity: 1)
    pageCount = max(newest.pageCount, older?.pageCount ?? 0)
    bitmaps = newest.bitmaps
    isChanged = Array(repeating: false, count: newest.bitmaps.count)
    self.older = older?.bitmaps ?? []
    awaited = newest.bitmaps
    for pointer in self.older where !awaited.contains(pointer) { awaited.append(pointer) }
  }

  func deallocate() {
    live.deallocate()
    busy.deallocate()
  }

  /// Makes the bitmaps reach `pages` pages, a multiple of 64.
  mutating func reserve(_ pages: Int) {
    let words = pages / 64
    guard words > wordCount else { return }
    live = Space.grown(live, from: wordCount, to: words)
    busy = Space.grown(busy, from: wordCount, to: words)
    if wordCount == 0 { (live[0], busy[0]) = (3, 3) }
    wordCount = words
  }

  private static func grown(
    _ old: UnsafeMutablePointer<UInt64>, from count: Int, to grown: Int
  ) -> UnsafeMutablePointer<UInt64> {
    let new = UnsafeMutablePointer<UInt64>.allocate(capacity: grown)
    new.initialize(repeating: 0, count: grown)
    new.update(from: old, count: count)
    old.deallocate()
    return new
  }
}

// MARK: Taking and freeing

extension Space {
  /// Takes the lowest free page, or the next one behind all. The caller has seen to `available`.
  mutating func take() -> UInt32 {
    let page = freeCount > 0 ? lowestFree() : pageCount
    if page == pageCount {
      pageCount += 1
      if Int(pageCount) > wordCount * 64 { reserve(wordCount * 128) }
    } else {
      freeCount -= 1
    }
    busy[Int(page / 64)] |= 1 << UInt64(page % 64)
    setLive(page, true)
    return page
  }

  private mutating func lowestFree() -> UInt32 {
    while ~busy[hint] == 0 { hint += 1 }
    return UInt32(hint * 64 + (~busy[hint]).trailingZeroBitCount)
  }

  /// Pages that can be taken before the file has `pagesMax` pages.
  func available(pagesMax: UInt32) -> Int { freeCount + Int(pagesMax) - Int(pageCount) }

  /// The page was taken in this epoch: no superblock knows it.
  mutating func giveBack(_ page: UInt32) {
    setLive(page, false)
    makeFree(page)
  }

  /// The page belongs to the checkpoint before: it is owed.
  mutating func owe(_ page: UInt32) {
    setLive(page, false)
    freedCurrent.append(page)
    owedCount += 1
  }

  private mutating func makeFree(_ page: UInt32) {
    busy[Int(page / 64)] &= ~(1 << UInt64(page % 64))
    freeCount += 1
    hint = min(hint, Int(page / 64))
  }

  private mutating func setLive(_ page: UInt32, _ value: Bool) {
    let bit: UInt64 = 1 << UInt64(page % 64)
    precondition((live[Int(page / 64)] & bit != 0) != value, "a page is taken once and freed once")
    live[Int(page / 64)] ^= bit
    liveCount += value ? 1 : -1
    markChanged(Int(page) / Bitmap.bitsPerPage)
  }

  private mutating func markChanged(_ index: Int) {
    while isChanged.count <= index { isChanged.append(true) }
    isChanged[index] = true
  }

  /// The next checkpoint gives bitmap page `index` another place, whether its bits change or not.
  mutating func rewriteBitmap(_ index: Int) { markChanged(index) }

  func isLive(_ page: UInt32) -> Bool { live[Int(page / 64)] >> UInt64(page % 64) & 1 == 1 }

  var isAnyChanged: Bool { isChanged.contains(true) }

  /// Bitmap pages that the pages in use need.
  var bitmapCount: Int { (Int(pageCount) + Bitmap.bitsPerPage - 1) / Bitmap.bitsPerPage }
}

// MARK: Checkpoints

extension Space {
  /// An epoch is frozen. Its bitmap pages are up to date.
  mutating func freeze() {
    for index in isChanged.indices { isChanged[index] = false }
    precondition(freedFrozen.isEmpty, "one checkpoint at a time")
    swap(&freedFrozen, &freedCurrent)
  }

  /// The frozen epoch's superblock is durable and has replaced the one before the last: what only that one had is free.
  mutating func frozenIsDurable() {
    for page in freedOlder { makeFree(page) }
    owedCount -= freedOlder.count
    freedOlder.removeAll(keepingCapacity: true)
    swap(&freedOlder, &freedFrozen)
  }

  /// Gives up the free pages behind all others: what comes is to be smaller.
  mutating func trim() {
    guard awaited.isEmpty else { return }
    var word = Int(pageCount - 1) / 64
    while busy[word] == 0 { word -= 1 }
    let count = UInt32(word * 64 + 64 - busy[word].leadingZeroBitCount)
    freeCount -= Int(pageCount - count)
    pageCount = count
  }

  /// Writes the bits of bitmap page `index` into its content.
  func writeBitmap(_ index: Int, to page: Page) {
    for i in 0..<Bitmap.wordsPerPage {
      let word = index * Bitmap.wordsPerPage + i
      guard word < wordCount else { return }
      page.content.storeBytes(of: live[word].littleEndian, toByteOffset: i * 8, as: UInt64.self)
    }
  }
}

// MARK: Opening

extension Space {
  /// A bitmap page has come, verified. Returns what is wrong with its bits, or nil.
  mutating func accept(_ pointer: PagePointer, _ page: Page) -> String? {
    guard let place = awaited.firstIndex(of: pointer) else { return nil }
    for (index, known) in bitmaps.enumerated() where known == pointer {
      guard merge(page, index, intoLive: true) else { return "a bitmap with pages beyond the file" }
    }
    for (index, known) in older.enumerated() where known == pointer {
      guard merge(page, index, intoLive: false) else { return "a bitmap with pages beyond the file" }
    }
    guard live[0] & 3 == 3 else { return "a bitmap without the superblocks" }
    awaited.remove(at: place)
    if awaited.isEmpty { settle() }
    return nil
  }

  private mutating func merge(_ page: Page, _ index: Int, intoLive: Bool) -> Bool {
    for i in 0..<Bitmap.wordsPerPage {
      let bits = UInt64(littleEndian: page.content.load(fromByteOffset: i * 8, as: UInt64.self))
      if bits == 0 { continue }
      let word = index * Bitmap.wordsPerPage + i
      let highest = word * 64 + 63 - bits.leadingZeroBitCount
      guard highest < Int(pageCount), word < wordCount else { return false }
      busy[word] |= bits
      if intoLive { live[word] |= bits }
    }
    return true
  }

  /// All bitmaps are here: what is busy and not live is owed to the older superblock.
  private mutating func settle() {
    var busyCount = 0
    liveCount = 0
    for word in 0..<wordCount {
      liveCount += live[word].nonzeroBitCount
      busyCount += busy[word].nonzeroBitCount
      var owed = busy[word] & ~live[word]
      while owed != 0 {
        freedOlder.append(UInt32(word * 64 + owed.trailingZeroBitCount))
        owed &= owed - 1
      }
    }
    owedCount = freedOlder.count
    freeCount = Int(pageCount) - busyCount
  }
}
