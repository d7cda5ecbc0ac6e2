import Testing

@testable import fsbench

@Suite struct MachineTests {
  /// A machine from which these shares are stolen, one run after the other.
  private func machine(stealing shares: [Double]) -> Machine {
    var moments = shares.flatMap { [Ticks(total: 0, stolen: 0), Ticks(total: 100, stolen: 100 * $0)] }
    return Machine(ticks: { moments.isEmpty ? Ticks(total: 0, stolen: 0) : moments.removeFirst() })
  }

  private func runs(_ machine: Machine) throws -> Int {
    var runs = 0
    return try machine.measure { () throws(BenchError) in
      runs += 1
      return runs
    }
  }

  @Test func aQuietRunIsTaken() throws {
    let machine = machine(stealing: [0.05])
    #expect(try runs(machine) == 1)
    #expect((machine.repeats, machine.spoiled) == (0, 0))
  }

  @Test func aRunWithStolenTimeIsRepeated() throws {
    let machine = machine(stealing: [0.06, 0.5, 0.01])
    #expect(try runs(machine) == 3)
    #expect((machine.repeats, machine.spoiled) == (2, 0))
    #expect(machine.summary.contains("2 rounds repeated"))
  }

  @Test func timeThatIsAlwaysStolenIsReported() throws {
    let machine = machine(stealing: [Double](repeating: 0.5, count: 5))
    #expect(try runs(machine) == 6)
    #expect((machine.repeats, machine.spoiled) == (5, 1))
    #expect(machine.summary.contains("1 taken in spite of it"))
  }

  @Test func stealIsItsShareOfAllTime() {
    let before = Ticks("cpu  100 0 50 1000 10 0 5 20 7 0\ncpu0 1 1 1 1 1 1 1 1\n")
    let after = Ticks("cpu  150 0 50 1040 10 0 5 30 9 0\n")
    #expect(before.total == 1185)
    #expect(after.steal(since: before) == 0.1)
    #expect(before.steal(since: before) == 0)
    #expect(Ticks("").stolen == 0)
  }
}
