// The superblock: page 0 or page 1 of the file, the root of everything. Checkpoint n is written to page n % 2.
//
//     offset  bytes
//     0       8      magic "FileStor"
//     8       4      format version, 2
//     12      4      CRC-32C of all 16 KiB, these four bytes taken as zero
//     16      8      epoch
//     24      16     cluster id
//     40      4      node id
//     44      2      lane id
//     46      2      count of bitmap pages, at most 1000
//     48      8      incarnation of the node's directory
//     56      8      data directory id
//     64      4      pages of the file, up to the highest one in use
//     68      4      height of the directory tree
//     72      16     pointer to its root, all zero when it is empty
//     88      8      rows of the directory: shards
//     96      8      bytes of the directory's keys and values
//     104     24     zero
//     128     16 n   pointers to the bitmap pages, in order
//
// Magic, version and checksum stand here in every version, so that any program can tell a newer file from a damaged one.

import Primitives

/// Whose file it is. Written when it is formatted, compared at every opening.
package struct StoreIdentity: Hashable, Sendable {
  /// 16 bytes.
  package var cluster: [UInt8]
  package var node: NodeID
  package var lane: LaneID
  package var incarnation: Incarnation
  package var directory: UInt64

  package init(cluster: [UInt8], node: NodeID, lane: LaneID, incarnation: Incarnation, directory: UInt64) {
    precondition(cluster.count == 16, "a cluster id has 16 bytes")
    self.cluster = cluster
    self.node = node
    self.lane = lane
    self.incarnation = incarnation
    self.directory = directory
  }
}

/// A superblock's fields.
package struct Superblock: Equatable, Sendable {
  package static let version: UInt32 = 2
  static let pointersOffset = 128

  package var epoch: Epoch
  package var identity: StoreIdentity
  package var pageCount: UInt32
  package var directoryHeight: UInt32
  package var directoryRoot: PagePointer
  /// Number of shards.
  package var directoryRows: UInt64
  package var directoryBytes: UInt64
  package var bitmaps: [PagePointer]

  /// Page of the file where it belongs.
  package var slot: PageID { PageID(UInt32(epoch.rawValue & 1)) }
  var directory: Tree {
    Tree(root: directoryRoot, height: directoryHeight, rows: directoryRows, bytes: directoryBytes)
  }
}

extension Superblock {
  /// The 16 KiB as they stand on disk.
  package func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: Page.byteCount)
    writer.writeBytes(Array("FileStor".utf8))
    writer.write(Superblock.version)
    writer.write(UInt32(0))
    writer.write(epoch.rawValue)
    writer.writeBytes(identity.cluster)
    writer.write(identity.node.rawValue)
    writer.write(identity.lane.rawValue)
    writer.write(UInt16(bitmaps.count))
    writer.write(identity.incarnation.rawValue)
    writer.write(identity.directory)
    writer.write(pageCount)
    writer.write(directoryHeight)
    Superblock.write(directoryRoot, to: &writer)
    writer.write(directoryRows)
    writer.write(directoryBytes)
    writer.writeBytes([UInt8](repeating: 0, count: Superblock.pointersOffset - writer.count))
    for pointer in bitmaps { Superblock.write(pointer, to: &writer) }
    writer.writeBytes([UInt8](repeating: 0, count: Page.byteCount - writer.count))
    writer.patch(crc32c(writer.bytes), at: 12)
    return writer.bytes
  }

  private static func write(_ pointer: PagePointer, to writer: inout ByteWriter) {
    writer.write(pointer.page.rawValue)
    writer.write(pointer.checksum)
    writer.write(pointer.birth.rawValue)
  }

  /// Reads the first or second page of a file. Used at opening and by `inspect`.
  package static func decode(_ bytes: UnsafeRawBufferPointer) throws(SuperblockProblem) -> Superblock {
    precondition(bytes.count == Page.byteCount, "a superblock is one page")
    guard bytes[0..<8].elementsEqual("FileStor".utf8) else { throw .magic }
    let found = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    let expected = checksum(bytes)
    guard found == expected else { throw .checksum(found: found, expected: expected) }
    let version = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    guard version == Superblock.version else { throw .version(version) }
    do throws(DecodeError) {
      return try fields(bytes).checked()
    } catch { throw .field(error.message) }
  }

  private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    let before = crc32c(UnsafeRawBufferPointer(rebasing: bytes[0..<12]))
    let zero = crc32c([0, 0, 0, 0], after: before)
    return crc32c(UnsafeRawBufferPointer(rebasing: bytes[16...]), after: zero)
  }

  private static func fields(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) -> Superblock {
    var reader = ByteReader(bytes, offset: 16)
    let epoch = Epoch(try reader.read())
    let cluster = Array(try reader.readBytes(16))
    let node = NodeID(try reader.read())
    let lane = LaneID(try reader.read())
    let bitmapCount: UInt16 = try reader.read()
    let incarnation = Incarnation(try reader.read())
    let directoryID: UInt64 = try reader.read()
    let identity = StoreIdentity(
      cluster: cluster, node: node, lane: lane, incarnation: incarnation, directory: directoryID)
    var superblock = Superblock(
      epoch: epoch, identity: identity, pageCount: try reader.read(), directoryHeight: try reader.read(),
      directoryRoot: try readPointer(&reader), directoryRows: try reader.read(), directoryBytes: try reader.read(),
      bitmaps: [])
    reader = ByteReader(bytes, offset: pointersOffset)
    for _ in 0..<bitmapCount { superblock.bitmaps.append(try readPointer(&reader)) }
    return superblock
  }

  private static func readPointer(_ reader: inout ByteReader) throws(DecodeError) -> PagePointer {
    PagePointer(page: PageID(try reader.read()), checksum: try reader.read(), birth: Epoch(try reader.read()))
  }

  /// Refuses what a right checksum cannot make possible.
  private func checked() throws(DecodeError) -> Superblock {
    guard epoch.rawValue < 1 << 60 else { throw .invalid("an epoch beyond every checkpoint") }
    guard pageCount >= 2 else { throw .invalid("fewer than two pages") }
    guard bitmaps.count <= StoreLimits.bitmapPagesMax else { throw .invalid("too many bitmap pages") }
    guard bitmaps.count * Bitmap.bitsPerPage >= Int(pageCount) || pageCount == 2 else {
      throw .invalid("too few bitmap pages")
    }
    guard directoryHeight < Tree.heightMax, (directoryHeight == 0) == directoryRoot.isNone else {
      throw .invalid("an impossible directory")
    }
    for pointer in bitmaps + (directoryRoot.isNone ? [] : [directoryRoot]) {
      guard pointer.page.rawValue >= 2, pointer.page.rawValue < pageCount, pointer.birth <= epoch else {
        throw .invalid("a pointer out of the file")
      }
    }
    return self
  }
}

extension Store {
  /// The first two pages of a new file, empty at epochs 0 and 1. For `init` and `join`; write both, then sync.
  package static func format(identity: StoreIdentity) -> (first: [UInt8], second: [UInt8]) {
    func empty(_ epoch: UInt64) -> [UInt8] {
      Superblock(
        epoch: Epoch(epoch), identity: identity, pageCount: 2, directoryHeight: 0, directoryRoot: .none,
        directoryRows: 0, directoryBytes: 0, bitmaps: []
      ).encoded()
    }
    return (empty(0), empty(1))
  }
}

/// The newer of two superblocks, the older if it is good, and what is wrong with it if not.
struct SuperblockChoice {
  var newest: Superblock
  var older: Superblock?
  var problem: SuperblockProblem?

  init(_ newest: Superblock, after older: Superblock, fileBytes: UInt64) {
    self.newest = newest
    // A file is not cut off before what either has.
    if UInt64(older.pageCount) * UInt64(Page.byteCount) <= fileBytes {
      self.older = older
    } else {
      problem = .field("more pages than the file has")
    }
  }

  init(_ only: Superblock, problem: SuperblockProblem) {
    newest = only
    self.problem = problem
  }
}

func chooseSuperblock(
  _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, identity: StoreIdentity, fileBytes: UInt64
) throws(StoreRefusal) -> SuperblockChoice {
  let a = try readSuperblock(first, slot: 0, identity: identity)
  let b = try readSuperblock(second, slot: 1, identity: identity)
  let choice: SuperblockChoice
  switch (a, b) {
  case (.success(let x), .success(let y)):
    let (newest, older) = x.epoch > y.epoch ? (x, y) : (y, x)
    choice = SuperblockChoice(newest, after: older, fileBytes: fileBytes)
  case (.success(let good), .failure(let problem)), (.failure(let problem), .success(let good)):
    choice = SuperblockChoice(good, problem: problem)
  case (.failure(.magic), .failure(.magic)): throw .foreign
  case (.failure(let x), .failure(let y)): throw .damaged(first: x, second: y)
  }
  let expected = UInt64(choice.newest.pageCount) * UInt64(Page.byteCount)
  guard fileBytes >= expected else { throw .truncated(foundBytes: fileBytes, expectedBytes: expected) }
  return choice
}

/// A damaged superblock is a value here, for the other may be good. A whole one of somebody else's is a refusal.
private func readSuperblock(
  _ bytes: UnsafeRawBufferPointer, slot: UInt32, identity: StoreIdentity
) throws(StoreRefusal) -> Result<Superblock, SuperblockProblem> {
  let superblock: Superblock
  do throws(SuperblockProblem) {
    superblock = try Superblock.decode(bytes)
  } catch .version(let found) {
    throw .version(found: found, supported: Superblock.version)
  } catch { return .failure(error) }
  try compare(superblock.identity, identity)
  guard superblock.slot == PageID(slot) else { return .failure(.field("a superblock in the other's place")) }
  return .success(superblock)
}

private func compare(_ found: StoreIdentity, _ expected: StoreIdentity) throws(StoreRefusal) {
  func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
  let fields = [
    ("cluster", hex(found.cluster), hex(expected.cluster)),
    ("node", "\(found.node)", "\(expected.node)"),
    ("lane", "\(found.lane.rawValue)", "\(expected.lane.rawValue)"),
    ("incarnation", "\(found.incarnation)", "\(expected.incarnation)"),
    ("data directory", String(found.directory, radix: 16), String(expected.directory, radix: 16)),
  ]
  for (field, found, expected) in fields where found != expected {
    throw .identity(field: field, found: found, expected: expected)
  }
}
