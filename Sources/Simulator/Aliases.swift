import Node

// Checkers has names of its own for these; here both are spoken of.
typealias ClientOperation = Operation
typealias NodeReply = Reply
