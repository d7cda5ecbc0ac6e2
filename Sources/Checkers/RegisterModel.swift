import Primitives

// One key as a register with versions: the sequential database that every history is compared with.

/// The register between two operations.
///
/// A write of unknown outcome leaves a version that nobody was told; the first operation that tells it binds it. All
/// that is known of it before is that it is above `floor`, because versions rise.
struct RegisterState: Hashable, Sendable {
  var isPresent = false
  /// The value; 0 when absent.
  var value: UInt64 = 0
  /// The version when it is known; zero when it is not, or when absent.
  var version = Timestamp.zero
  /// The greatest version known to have been given so far.
  var floor = Timestamp.zero

  /// The register after `call` was answered with `answer`; nil if it could not have been answered so.
  func after(_ call: Call, answered answer: Answer) -> RegisterState? {
    switch (call, answer) {
    case (.get, .found(let value, let version)):
      return isPresent && self.value == value ? bound(to: version) : nil
    case (.get, .notFound), (.delete(.always), .notFound), (.delete(.ifPresent), .notFound),
      (.delete(.ifVersion), .notFound), (.put(_, .ifPresent), .notFound), (.put(_, .ifVersion), .notFound):
      return isPresent ? nil : self
    case (.put(let value, .always), .created(let version)), (.put(let value, .ifAbsent), .created(let version)):
      return isPresent ? nil : written(value, version)
    case (.put(_, .ifAbsent), .replaced):
      return nil
    case (.put(let value, let condition), .replaced(let version)):
      return isPresent ? meeting(condition)?.written(value, version) : nil
    case (.delete(let condition), .deleted):
      return isPresent ? meeting(condition)?.erased() : nil
    case (.put(_, let condition), .conditionFailed(let witness)),
      (.delete(let condition), .conditionFailed(let witness)):
      return failing(condition, witness)
    default:
      return nil
    }
  }

  /// The register after `call` took effect without anybody being told; nil if it would have changed nothing.
  func afterUntold(_ call: Call) -> RegisterState? {
    switch call {
    case .get: nil
    case .put(let value, let condition): meeting(condition)?.written(value, nil)
    case .delete(let condition): isPresent ? meeting(condition)?.erased() : nil
    }
  }

  /// Whether nothing was written since `earlier`; its version may have become known.
  func isSameRow(as earlier: RegisterState) -> Bool {
    isPresent == earlier.isPresent && value == earlier.value
      && (version == earlier.version || earlier.version == .zero)
  }

  /// The same register, its version now known to be `told`; nil if it is another one.
  private func bound(to told: Timestamp?) -> RegisterState? {
    guard let told else { return self }
    if version != .zero { return version == told ? self : nil }
    guard told > floor else { return nil }
    var next = self
    next.version = told
    next.floor = told
    return next
  }

  /// The same register if `condition` holds in it, nil if not.
  private func meeting(_ condition: Condition) -> RegisterState? {
    switch condition {
    case .always: self
    case .ifAbsent: isPresent ? nil : self
    case .ifPresent: isPresent ? self : nil
    case .ifVersion(let wanted): isPresent ? bound(to: wanted) : nil
    }
  }

  /// The same register if `condition` does not hold in it and `witness` fits, nil if not. A version that is not known
  /// can differ from any; that it does is not remembered (lenient by that much).
  private func failing(_ condition: Condition, _ witness: Witness) -> RegisterState? {
    switch condition {
    case .always: return nil
    case .ifAbsent: if !isPresent { return nil }
    case .ifPresent: if isPresent { return nil }
    case .ifVersion(let wanted):
      if isPresent, version == wanted { return nil }
      if witness == .version(wanted) { return nil }
    }
    switch witness {
    case .untold: return self
    case .absent: return isPresent ? nil : self
    case .version(let told): return isPresent ? bound(to: told) : nil
    }
  }

  private func written(_ value: UInt64, _ told: Timestamp?) -> RegisterState? {
    guard let told else { return RegisterState(isPresent: true, value: value, version: .zero, floor: floor) }
    guard told > floor else { return nil }
    return RegisterState(isPresent: true, value: value, version: told, floor: told)
  }

  private func erased() -> RegisterState { RegisterState(floor: floor) }
}

extension RegisterState: CustomStringConvertible {
  var description: String {
    if !isPresent { return "no row" }
    return version == .zero ? "\(value) at a version not told, above \(floor)" : "\(value) at version \(version)"
  }
}

extension Answer {
  /// The version that the register must have, or have been given, at the moment of this answer. Along any order of the
  /// operations these only rise; zero when the answer tells none.
  var toldVersion: Timestamp {
    switch self {
    case .found(_, let version?), .created(let version?), .replaced(let version?),
      .conditionFailed(.version(let version)):
      version
    default: .zero
    }
  }

  /// The version that a write was given, if it is told.
  var givenVersion: Timestamp? {
    switch self {
    case .created(let version), .replaced(let version): version
    default: nil
    }
  }
}
