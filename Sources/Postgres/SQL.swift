/// One parameter in Postgres' binary format, with the type it is sent as.
public struct PostgresValue: Sendable, Equatable {
    public var typeOID: UInt32
    /// Binary format of `typeOID`; nil is NULL.
    public var bytes: [UInt8]?

    public init(typeOID: UInt32, bytes: [UInt8]?) {
        self.typeOID = typeOID
        self.bytes = bytes
    }

    public init<Value: PostgresEncodable>(_ value: Value) {
        var bytes: [UInt8] = []
        value.encode(into: &bytes)
        self.init(typeOID: Value.postgresTypeOID, bytes: bytes)
    }

    public init<Value: PostgresEncodable>(_ value: Value?) {
        if let value {
            self.init(value)
        } else {
            self.init(typeOID: Value.postgresTypeOID, bytes: nil)
        }
    }
}

/// A statement and its parameters. Interpolation binds; raw text must say `unsafeSQL:`.
///
///     let sql: SQL = "SELECT name FROM agents WHERE tenant_id = \(tenant) AND id = ANY(\(ids))"
public struct SQL: Sendable, ExpressibleByStringInterpolation, CustomStringConvertible {
    /// With the placeholders $1, $2 …
    public var text: String
    public var parameters: [PostgresValue]

    public init(stringLiteral value: String) {
        text = value
        parameters = []
    }

    public init(stringInterpolation: Interpolation) {
        text = stringInterpolation.text
        parameters = stringInterpolation.parameters
    }

    /// The caller vouches for the text.
    public init(unsafeSQL text: String, parameters: [PostgresValue] = []) {
        self.text = text
        self.parameters = parameters
    }

    /// Text only: parameters are data and stay out of logs.
    public var description: String { text }

    public struct Interpolation: StringInterpolationProtocol {
        var text = ""
        var parameters: [PostgresValue] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount * 3)
            parameters.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) {
            text.append(literal)
        }

        private mutating func bind(_ value: PostgresValue) {
            parameters.append(value)
            text.append("$")
            text.append(String(parameters.count))
        }

        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
            bind(PostgresValue(value))
        }

        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            bind(PostgresValue(value))
        }

        /// An array whose elements may be NULL.
        public mutating func appendInterpolation<Value: PostgresEncodable>(_ values: [Value?]) {
            bind(PostgresValue(typeOID: Value.postgresArrayTypeOID, bytes: PostgresArrayFormat.encode(values)))
        }

        public mutating func appendInterpolation(_ value: PostgresValue) {
            bind(value)
        }

        /// Raw text, not a parameter. Never put input from outside here.
        public mutating func appendInterpolation(unsafeSQL: String) {
            text.append(unsafeSQL)
        }
    }
}
