import Glibc

/// A library of C that is looked for at run time: nobody has to install it to build this program or to use the rest of it.
struct SharedLibrary {
  private let name: String
  private let handle: UnsafeMutableRawPointer

  init(_ name: String, package: String) throws(BenchError) {
    guard let handle = dlopen(name, RTLD_NOW) else { throw .missing(name, package: package) }
    (self.name, self.handle) = (name, handle)
  }

  /// A function, as the type that is asked for: `@convention(c)`, and as the library's header has it.
  func symbol<T>(_ symbol: String) throws(BenchError) -> T {
    guard let found = dlsym(handle, symbol) else { throw .failed("\(name) has no \(symbol)") }
    return unsafeBitCast(found, to: T.self)
  }
}
