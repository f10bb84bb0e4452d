// The AccECN option (RFC 9768 §3.2.3): what of the payload arrived with which ECN field, in one of two orders and cut to what has changed.
namespace Peregrine.Wire;

/// <summary>The option's fields. Counters are 24 bits, of the payload bytes that arrived so marked.</summary>
/// <param name="Order">0 for EE0B, ECEB, EE1B (kind 172); 1 for EE1B, ECEB, EE0B (kind 174).</param>
/// <param name="FieldCount">How many fields are present: 0 to 3.</param>
/// <param name="Ect0Bytes">EE0B; 0 where it is not present.</param>
/// <param name="CeBytes">ECEB; 0 where it is not present.</param>
/// <param name="Ect1Bytes">EE1B; 0 where it is not present.</param>
public readonly record struct AccurateEcnOption(int Order, int FieldCount, uint Ect0Bytes, uint CeBytes, uint Ect1Bytes)
{
    /// <summary>What a counter counts modulo.</summary>
    public const uint Modulus = 1u << 24;

    private const int FieldLength = 3;

    /// <summary>Bytes of the option without padding: 2, 5, 8 or 11 (RFC 9768 table 5).</summary>
    public int Length => 2 + (FieldLength * FieldCount);

    /// <summary>Whether <see cref="Ect0Bytes"/> is present.</summary>
    public bool HasEct0 => FieldCount > (Order == 0 ? 0 : 2);

    /// <summary>Whether <see cref="CeBytes"/> is present.</summary>
    public bool HasCe => FieldCount > 1;

    /// <summary>Whether <see cref="Ect1Bytes"/> is present.</summary>
    public bool HasEct1 => FieldCount > (Order == 0 ? 2 : 0);

    // RFC 9768 §3.2.3: of another length, the whole fields that fit count and the rest is padding.
    internal static AccurateEcnOption Read(byte kind, ReadOnlySpan<byte> fields)
    {
        var order = kind == TcpOptionKind.AccurateEcn1 ? 1 : 0;
        var count = Math.Min(fields.Length / FieldLength, 3);
        var (first, second, third) = (Field(fields, 0, count), Field(fields, 1, count), Field(fields, 2, count));
        return new AccurateEcnOption(order, count, order == 0 ? first : third, second, order == 0 ? third : first);
    }

    // Padded with NOPs to a word.
    internal int Write(Span<byte> destination)
    {
        var padded = (Length + 3) & ~3;
        destination[0] = Order == 0 ? TcpOptionKind.AccurateEcn0 : TcpOptionKind.AccurateEcn1;
        destination[1] = (byte)Length;
        for (var i = 0; i < FieldCount; i++)
        {
            var value = i == 1 ? CeBytes : (i == 0) == (Order == 0) ? Ect0Bytes : Ect1Bytes;
            var at = destination[(2 + (FieldLength * i))..];
            (at[0], at[1], at[2]) = ((byte)(value >> 16), (byte)(value >> 8), (byte)value);
        }
        destination[Length..padded].Fill(TcpOptionKind.NoOperation);
        return padded;
    }

    private static uint Field(ReadOnlySpan<byte> fields, int index, int count)
    {
        if (index >= count) return 0;
        var at = fields[(FieldLength * index)..];
        return (uint)((at[0] << 16) | (at[1] << 8) | at[2]);
    }
}
