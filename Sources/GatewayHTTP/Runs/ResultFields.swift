import Domain
import JSON

/// `{callId?, result | error}` of a body that answers a call.
enum ResultFields {
    static func read(_ body: JSONDocument, source: ResultSource, withCall: Bool) throws -> (callID: CallID?, outcome: ToolOutcome) {
        var reader = try JSONObjectReader(body.root)
        let callID = withCall ? try reader.id("callId", as: CallID.self) : nil
        // A result may be null; an error may not.
        let result = reader.has("result") ? try reader.node("result") : try reader.optionalNode("result")
        let error = try reader.optionalNode("error")
        let errorPointer = reader.pointer(to: "error")
        try reader.finish()
        switch (result, error) {
        case (let result?, nil): return (callID, .result(result.rawJSON.compacted(), source: source))
        case (nil, let error?): return (callID, .failed(try ToolError(reading: error, at: errorPointer), source: source))
        case (nil, nil): throw JSONViolation(pointer: reader.pointer(to: "result"), message: "or error is required")
        case (.some, .some): throw JSONViolation(pointer: errorPointer, message: "must be absent where result is given")
        }
    }
}
