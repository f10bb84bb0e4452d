// The keys of a stack's keyed hashes. They belong to the host: all cores behind one address, and a successor process, must have the
// same ones, else cookies and demux hashes of one mean nothing to the other.
// Not a source of chance: the host fills them from the system's entropy, a simulation from its seed.
using System.Buffers.Binary;

namespace Peregrine.Core;

/// <summary>Secret keys of 128 bits, one for each use, so that what one use shows says nothing about another.</summary>
/// <param name="DemuxKey">Keys the table of connections.</param>
/// <param name="IsnKey">Keys initial sequence numbers (RFC 6528 §3).</param>
/// <param name="CookieKey">Keys SYN cookies (RFC 4987 §3.6).</param>
/// <param name="TimestampKey">Keys the offsets of TCP timestamps (RFC 7323 §5.4).</param>
/// <param name="PortKey">Keys ephemeral ports (RFC 6056 §3.3).</param>
/// <param name="FlowLabelKey">Keys IPv6 flow labels (RFC 6437 §3).</param>
/// <param name="IdentificationKey">Keys the identifications of fragments (RFC 7739 §5).</param>
/// <param name="FastOpenKey">Keys the cookies of TCP Fast Open (RFC 7413 §4.1.2).</param>
public readonly record struct StackSecrets(
    UInt128 DemuxKey, UInt128 IsnKey, UInt128 CookieKey, UInt128 TimestampKey, UInt128 PortKey, UInt128 FlowLabelKey, UInt128 IdentificationKey,
    UInt128 FastOpenKey)
{
    /// <summary>Bytes of entropy that <see cref="FromBytes"/> wants.</summary>
    public const int ByteCount = 8 * 16;

    /// <summary>Keys from the host's entropy.</summary>
    /// <param name="entropy">At least <see cref="ByteCount"/> bytes.</param>
    /// <exception cref="ArgumentException">There are fewer bytes.</exception>
    public static StackSecrets FromBytes(ReadOnlySpan<byte> entropy)
    {
        if (entropy.Length < ByteCount) throw new ArgumentException($"The secrets need {ByteCount} bytes of entropy.", nameof(entropy));
        return new StackSecrets(
            BinaryPrimitives.ReadUInt128LittleEndian(entropy),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[16..]),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[32..]),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[48..]),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[64..]),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[80..]),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[96..]),
            BinaryPrimitives.ReadUInt128LittleEndian(entropy[112..]));
    }

    /// <summary>Keys that follow from a seed: for simulations and tests only, since whoever guesses the seed has them all.</summary>
    public static StackSecrets FromSeed(ulong seed)
    {
        Span<byte> bytes = stackalloc byte[ByteCount];
        for (var at = 0; at < ByteCount; at += 8) BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], StackRandom.SplitMix64(ref seed));
        return FromBytes(bytes);
    }

    /// <summary>Says nothing: secrets do not belong into logs.</summary>
    public override string ToString() => nameof(StackSecrets);
}
