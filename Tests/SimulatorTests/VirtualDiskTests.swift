import Primitives
import Testing

@testable import Simulator

@Suite struct VirtualDiskTests {
  private let sector = VirtualDisk.sectorBytes

  private func disk(sectors: Int) -> VirtualDisk {
    var disk = VirtualDisk()
    disk.create("f", bytes: sectors * VirtualDisk.sectorBytes)
    return disk
  }

  private func ones(_ sectors: Int) -> [UInt8] { [UInt8](repeating: 1, count: sectors * sector) }

  /// The first byte of each sector; that a sector is whole is checked.
  private func contents(_ disk: VirtualDisk) -> [UInt8] {
    let bytes = disk.read("f", offset: 0, count: .max >> 1)
    return stride(from: 0, to: bytes.count, by: sector).map { start in
      #expect(Set(bytes[start..<start + sector]).count == 1, "a sector is never torn")
      return bytes[start]
    }
  }

  @Test func whatIsDurableStays() {
    var random = SeededRandom(seed: 1)
    for _ in 0..<50 {
      var disk = disk(sectors: 4)
      disk.write("f", offset: 0, ones(2), durable: true)
      disk.write("f", offset: UInt64(2 * sector), ones(2), durable: false)
      disk.sync("f")
      let torn = disk.crash(inFlight: [], random: &random)
      #expect(!torn)
      #expect(contents(disk) == [1, 1, 1, 1])
    }
  }

  @Test func whatIsNotSyncedMayBeLostKeptOrTorn() {
    var random = SeededRandom(seed: 2)
    var seen: Set<[UInt8]> = []
    for _ in 0..<200 {
      var disk = disk(sectors: 3)
      disk.write("f", offset: 0, ones(3), durable: false)
      #expect(contents(disk) == [1, 1, 1], "a read sees what was completed")
      _ = disk.crash(inFlight: [], random: &random)
      seen.insert(contents(disk))
    }
    #expect(seen.count == 8)
  }

  @Test func aWriteInFlightMayArriveInPart() {
    var random = SeededRandom(seed: 3)
    var seen: Set<[UInt8]> = []
    for _ in 0..<200 {
      var disk = disk(sectors: 2)
      let torn = disk.crash(inFlight: [("f", 0, ones(2))], random: &random)
      let found = contents(disk)
      #expect(torn == (found == [0, 1] || found == [1, 0]))
      seen.insert(found)
    }
    #expect(seen.count == 4)
  }

  @Test func overwrittenBytesComeBackInOrder() {
    var random = SeededRandom(seed: 4)
    for _ in 0..<100 {
      var disk = disk(sectors: 1)
      for value in UInt8(1)...3 {
        disk.write("f", offset: 0, [UInt8](repeating: value, count: sector), durable: false)
      }
      _ = disk.crash(inFlight: [], random: &random)
      #expect((0...3).contains(contents(disk)[0]))
    }
  }

  @Test func filesGrowAndAreRemoved() {
    var disk = disk(sectors: 1)
    disk.write("f", offset: UInt64(sector), ones(1), durable: true)
    #expect(disk.size("f") == 2 * sector)
    #expect(disk.read("f", offset: UInt64(3 * sector), count: 10).isEmpty)
    disk.remove("f")
    #expect(!disk.exists("f"))
    #expect(disk.allNames.isEmpty)
  }
}

@Suite struct WorkloadTests {
  @Test func rowsReadAsTheyWereWritten() {
    for padding in [0, 5000] {
      let row = Workload.row(417, padding: padding)
      #expect(Workload.value(in: row[...]) == 417)
    }
    #expect(Workload.value(in: Array(#"{"k":"key-1","v":23,"pad":null}"#.utf8)[...]) == 23)
    #expect(Workload.value(in: Array(#"{"k":"key-1"}"#.utf8)[...]) == nil)
    #expect(Workload.value(in: [][...]) == nil)
  }

  @Test func aMarkIsFoundWhereItFirstStands() {
    let body = Array("xxabab".utf8)
    #expect(Workload.firstRange(of: Array("ab".utf8), in: body[...]) == 2)
    #expect(Workload.firstRange(of: Array("ab".utf8), in: body[3...]) == 4)
    #expect(Workload.firstRange(of: Array("abc".utf8), in: body[...]) == nil)
  }
}
