/// What is wrong with a JSON text, and where. Trivial, because it is thrown on hot paths.
struct JSONFault: Error, Equatable {
  enum Kind: UInt8 {
    case endsEarly
    case unexpected
    case badNumber
    case badEscape
    case loneSurrogate
    case controlCharacter
    case notUTF8
    case tooDeep
    case duplicateName
    case moreBehind
    case notObject
    case notArray
  }

  var kind: Kind
  /// Byte offset in the text.
  var offset: Int

  var text: String {
    let what =
      switch kind {
      case .endsEarly: "the text ends early"
      case .unexpected: "a character that cannot stand here"
      case .badNumber: "a number that JSON does not allow"
      case .badEscape: "an escape that JSON does not allow"
      case .loneSurrogate: "half of a surrogate pair"
      case .controlCharacter: "a control character that is not escaped"
      case .notUTF8: "bytes that are not UTF-8"
      case .tooDeep: "more than \(TableLimits.jsonDepthMax) levels of nesting"
      case .duplicateName: "a name that occurs twice in one object"
      case .moreBehind: "more text behind the value"
      case .notObject: "an object was expected"
      case .notArray: "an array was expected"
      }
    return "not valid JSON at byte \(offset): \(what)"
  }

  var refusal: Refusal { Refusal(.invalidJSON, text + ". Correct the text and send it again.") }
}
