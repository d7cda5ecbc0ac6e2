// # Checkers: what a correct run looks like
//
// A test of a replicated database cannot know the right answer in advance: which of two concurrent writes wins is
// chance. What it can do is record what clients and replicas saw and ask afterwards whether any correct database could
// have shown that. This target asks. It runs unchanged over histories from the simulator, a local cluster and the chaos
// tests; it imports nothing but Primitives, reads no clock and draws no chance.
//
// What is checked, and where:
//
// - `checkLinearizability` (Linearizability.swift): every key behaves like one register with versions that is changed
//   at one moment between the invocation and the answer of each operation. Wing and Gong's search as refined by Lowe
//   (linked list, memory of failed configurations), per key, with pruning by versions.
// - `AckedLedger`: what was acknowledged is there at the end. Weaker than linearizability, but cheap for a million rows.
// - `ReplicaEquality`: two replicas that applied a log up to the same index have the same state hash.
// - `checkBatchAtomicity`: a batch that wrote one value to several keys is seen whole or not at all.
// - `InvariantTracker`: the invariants of Raft, fed with facts after each step, at a cost of O(what changed), with a
//   memory over the whole run (two leaders of one term are found even if they never were leaders together).
// - `RaftInvariants`: the same invariants over one picture of all replicas, slow and obviously right; tests hold the
//   tracker against it.
//
// Every checker returns a violation that names the rule and says in words what was seen; none of them traps on a bad
// history, because finding one is its purpose. What is not here: serializability of transactions (a cycle search), the
// meaning of SQL, liveness (the runner's deadline after healing).

/// A rule that did not hold, and what was seen instead.
package struct Violation: Error, Equatable, Sendable, CustomStringConvertible {
  /// The rule's name, as in `LogMatchingInv`: stable, for counting and for planted bugs.
  package let rule: String
  /// What was seen, for a person.
  package let detail: String

  package init(rule: String, detail: String) {
    self.rule = rule
    self.detail = detail
  }

  package var description: String { "\(rule): \(detail)" }
}
