// The Internet checksum (RFC 1071): sums, fused copy-and-sum, combination of parts, incremental update.
// Sums are of 16-bit words as the machine loads them: ones' complement addition does not mind the byte order (RFC 1071 §2 B), so
// nothing is swapped, and what Finish returns is stored as it is. A sum is no host-order number: do not add one to it by hand.
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Peregrine.Wire;

/// <summary>The Internet checksum of RFC 1071, and its incremental update of RFC 1624.</summary>
public static class InternetChecksum
{
    // Below this the set-up of the vectors costs more than they save.
    private const int VectorLengthMin = 64;

    /// <summary>
    /// Sums bytes onto a partial sum. Parts of one message are summed in turn as long as every part but the last has an even length;
    /// else use <see cref="Combine"/>.
    /// </summary>
    /// <returns>A partial sum, at most 0xFFFF.</returns>
    public static uint Sum(ReadOnlySpan<byte> bytes, uint initial = 0)
    {
        ref byte source = ref MemoryMarshal.GetReference(bytes);
        if (bytes.Length >= VectorLengthMin)
        {
            if (Vector256.IsHardwareAccelerated) return Fold(initial + SumVector256(ref source, bytes.Length));
            if (Vector128.IsHardwareAccelerated) return Fold(initial + SumVector128(ref source, bytes.Length));
        }

        return Fold(initial + SumScalar(ref source, bytes.Length));
    }

    /// <summary>Copies bytes and sums them in the same pass. The two spans must not overlap.</summary>
    /// <returns>A partial sum as from <see cref="Sum"/>.</returns>
    /// <exception cref="ArgumentException">The destination is shorter than the source.</exception>
    public static uint CopyAndSum(ReadOnlySpan<byte> source, Span<byte> destination, uint initial = 0)
    {
        if (destination.Length < source.Length) Overlay.ThrowTooShort();
        ref byte from = ref MemoryMarshal.GetReference(source);
        ref byte to = ref MemoryMarshal.GetReference(destination);
        if (source.Length >= VectorLengthMin)
        {
            if (Vector256.IsHardwareAccelerated) return Fold(initial + CopyAndSumVector256(ref from, ref to, source.Length));
            if (Vector128.IsHardwareAccelerated) return Fold(initial + CopyAndSumVector128(ref from, ref to, source.Length));
        }

        return Fold(initial + CopyAndSumScalar(ref from, ref to, source.Length));
    }

    /// <summary>The sum of two parts, the second of which began at an odd offset of the whole, or not (RFC 1071 §2 B).</summary>
    public static uint Combine(uint a, uint b, bool bStartsOdd)
    {
        if (bStartsOdd) b = BinaryPrimitives.ReverseEndianness((ushort)Fold(b));
        return Fold((ulong)a + b);
    }

    /// <summary>The checksum to store, as it is to lie in memory (no byte swap when it is written).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Finish(uint sum) => (ushort)~Fold(sum);

    /// <summary>As <see cref="Finish"/>, but never zero, which in UDP says "no checksum" (RFC 768).</summary>
    public static ushort FinishUdp(uint sum)
    {
        ushort checksum = Finish(sum);
        return checksum == 0 ? ushort.MaxValue : checksum;
    }

    /// <summary>Stores the finished checksum of a sum into the first two bytes of the destination.</summary>
    public static void Store(Span<byte> destination, uint sum) => MemoryMarshal.Write(destination, Finish(sum));

    /// <summary>Stores a sum as it is, not complemented: what a device that completes checksums wants to find in the field.</summary>
    public static void StorePartial(Span<byte> destination, uint sum) => MemoryMarshal.Write(destination, Partial(sum));

    /// <summary>What <see cref="StorePartial"/> stores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Partial(uint sum) => (ushort)Fold(sum);

    /// <summary>
    /// Whether a checksum field holds just the pseudo-header's sum, as <see cref="StorePartial"/> writes it: then a kernel has left the rest to a
    /// device, and no sum over the message can be valid but by chance.
    /// </summary>
    /// <param name="field">The two bytes of the field, as they lie in memory.</param>
    /// <param name="pseudoHeader">The sum of the pseudo-header.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsUnfinished(ushort field, uint pseudoHeader) => field == Partial(pseudoHeader);

    /// <summary>Whether a sum over a message that includes its checksum says that the message is whole.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsValid(ulong sum) => Fold(sum) == 0xFFFF;

    /// <summary>The sum of a pseudo-header: RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6, by the family of the source.</summary>
    /// <param name="source">Source address.</param>
    /// <param name="destination">Final destination, of the same family.</param>
    /// <param name="protocol">Protocol or next-header value of the transport.</param>
    /// <param name="length">Transport header and payload, in bytes.</param>
    public static uint PseudoHeader(in IpAddress source, in IpAddress destination, byte protocol, int length)
    {
        // In big-endian words first; the swap at the end turns the sum into machine order (RFC 1071 §2 B).
        ulong sum = (uint)length + (ulong)protocol;
        if (source.IsIPv4)
        {
            sum += source.ToIPv4();
            sum += destination.ToIPv4();
        }
        else
        {
            sum += Halves(source.High) + Halves(source.Low) + Halves(destination.High) + Halves(destination.Low);
        }

        return FromWords(sum);
    }

    /// <summary>The sum of a message whose 16-bit (or 32-bit) words were added up as values rather than as they lie in memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint FromWords(ulong sum)
    {
        uint folded = Fold(sum);
        return BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness((ushort)folded) : folded;
    }

    /// <summary>
    /// The checksum after one 16-bit word of the message has changed (RFC 1624 §3, equation 3). The three may be in host or in
    /// network order, but all in the same.
    /// </summary>
    public static ushort Update(ushort checksum, ushort oldValue, ushort newValue) =>
        // RFC 1624 §3: HC' = ~(~HC + ~m + m'); the older form of RFC 1141 goes wrong where the result is zero.
        (ushort)~Fold((ulong)(ushort)~checksum + (ushort)~oldValue + newValue);

    /// <summary>As <see cref="Update(ushort, ushort, ushort)"/> for a 32-bit field at an even offset.</summary>
    public static ushort Update(ushort checksum, uint oldValue, uint newValue) =>
        Update(Update(checksum, (ushort)(oldValue >> 16), (ushort)(newValue >> 16)), (ushort)oldValue, (ushort)newValue);

    /// <summary>A wide sum in 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Fold(ulong sum)
    {
        // Each half onto the other: the upper one becomes their sum, and the carry out of the lower one is the carry that goes round.
        uint folded = (uint)((sum + BitOperations.RotateLeft(sum, 32)) >> 32);
        return (folded + BitOperations.RotateLeft(folded, 16)) >> 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Halves(ulong word) => (word & 0xFFFF_FFFF) + (word >> 32);

    // 32-bit halves go into 64-bit totals: 2 GiB of 0xFF make less than 2⁶², so nothing here can overflow.
    internal static ulong SumScalar(ref byte source, int length)
    {
        ulong total = 0;
        nint offset = 0;
        for (; length - offset >= 8; offset += 8) total += Halves(Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref source, offset)));
        return total + SumTail(ref Unsafe.Add(ref source, offset), length - (int)offset);
    }

    internal static ulong CopyAndSumScalar(ref byte source, ref byte destination, int length)
    {
        ulong total = 0;
        nint offset = 0;
        for (; length - offset >= 8; offset += 8)
        {
            ulong word = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref source, offset));
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref destination, offset), word);
            total += Halves(word);
        }

        ref byte from = ref Unsafe.Add(ref source, offset);
        CopyTail(ref from, ref Unsafe.Add(ref destination, offset), length - (int)offset);
        return total + SumTail(ref from, length - (int)offset);
    }

    /// <summary>Copies the last 0 to 7 bytes in at most three steps: a loop over bytes took longer than all the rest of a small segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyTail(ref byte source, ref byte destination, int length)
    {
        if ((length & 4) != 0) Unsafe.WriteUnaligned(ref destination, Unsafe.ReadUnaligned<uint>(ref source));
        nint offset = length & 4;
        if ((length & 2) != 0)
        {
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref destination, offset), Unsafe.ReadUnaligned<ushort>(ref Unsafe.Add(ref source, offset)));
        }

        offset = length & 6;
        if ((length & 1) != 0) Unsafe.Add(ref destination, offset) = Unsafe.Add(ref source, offset);
    }

    /// <summary>The last 0 to 7 bytes; an odd one is the first of its word (RFC 1071 §1: padded with zero on the right).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong SumTail(ref byte source, int length)
    {
        ulong total = 0;
        if ((length & 4) != 0)
        {
            total = Unsafe.ReadUnaligned<uint>(ref source);
            source = ref Unsafe.Add(ref source, 4);
        }

        if ((length & 2) != 0)
        {
            total += Unsafe.ReadUnaligned<ushort>(ref source);
            source = ref Unsafe.Add(ref source, 2);
        }

        if ((length & 1) != 0) total += BitConverter.IsLittleEndian ? source : (uint)source << 8;
        return total;
    }

    internal static ulong SumVector256(ref byte source, int length)
    {
        Vector256<ulong> mask = Vector256.Create(0xFFFF_FFFFUL);
        Vector256<ulong> a = default, b = default, c = default, d = default;
        nint offset = 0;
        for (; length - offset >= 64; offset += 64)
        {
            Vector256<ulong> x = Vector256.LoadUnsafe(ref Unsafe.Add(ref source, offset)).AsUInt64();
            Vector256<ulong> y = Vector256.LoadUnsafe(ref Unsafe.Add(ref source, offset + 32)).AsUInt64();
            a += x & mask;
            b += x >>> 32;
            c += y & mask;
            d += y >>> 32;
        }

        return Vector256.Sum(a + b + (c + d)) + SumScalar(ref Unsafe.Add(ref source, offset), length - (int)offset);
    }

    internal static ulong SumVector128(ref byte source, int length)
    {
        Vector128<ulong> mask = Vector128.Create(0xFFFF_FFFFUL);
        Vector128<ulong> a = default, b = default, c = default, d = default;
        nint offset = 0;
        for (; length - offset >= 32; offset += 32)
        {
            Vector128<ulong> x = Vector128.LoadUnsafe(ref Unsafe.Add(ref source, offset)).AsUInt64();
            Vector128<ulong> y = Vector128.LoadUnsafe(ref Unsafe.Add(ref source, offset + 16)).AsUInt64();
            a += x & mask;
            b += x >>> 32;
            c += y & mask;
            d += y >>> 32;
        }

        return Vector128.Sum(a + b + (c + d)) + SumScalar(ref Unsafe.Add(ref source, offset), length - (int)offset);
    }

    internal static ulong CopyAndSumVector256(ref byte source, ref byte destination, int length)
    {
        Vector256<ulong> mask = Vector256.Create(0xFFFF_FFFFUL);
        Vector256<ulong> a = default, b = default, c = default, d = default;
        nint offset = 0;
        for (; length - offset >= 64; offset += 64)
        {
            Vector256<byte> x = Vector256.LoadUnsafe(ref Unsafe.Add(ref source, offset));
            Vector256<byte> y = Vector256.LoadUnsafe(ref Unsafe.Add(ref source, offset + 32));
            x.StoreUnsafe(ref Unsafe.Add(ref destination, offset));
            y.StoreUnsafe(ref Unsafe.Add(ref destination, offset + 32));
            a += x.AsUInt64() & mask;
            b += x.AsUInt64() >>> 32;
            c += y.AsUInt64() & mask;
            d += y.AsUInt64() >>> 32;
        }

        return Vector256.Sum(a + b + (c + d))
            + CopyAndSumScalar(ref Unsafe.Add(ref source, offset), ref Unsafe.Add(ref destination, offset), length - (int)offset);
    }

    internal static ulong CopyAndSumVector128(ref byte source, ref byte destination, int length)
    {
        Vector128<ulong> mask = Vector128.Create(0xFFFF_FFFFUL);
        Vector128<ulong> a = default, b = default, c = default, d = default;
        nint offset = 0;
        for (; length - offset >= 32; offset += 32)
        {
            Vector128<byte> x = Vector128.LoadUnsafe(ref Unsafe.Add(ref source, offset));
            Vector128<byte> y = Vector128.LoadUnsafe(ref Unsafe.Add(ref source, offset + 16));
            x.StoreUnsafe(ref Unsafe.Add(ref destination, offset));
            y.StoreUnsafe(ref Unsafe.Add(ref destination, offset + 16));
            a += x.AsUInt64() & mask;
            b += x.AsUInt64() >>> 32;
            c += y.AsUInt64() & mask;
            d += y.AsUInt64() >>> 32;
        }

        return Vector128.Sum(a + b + (c + d))
            + CopyAndSumScalar(ref Unsafe.Add(ref source, offset), ref Unsafe.Add(ref destination, offset), length - (int)offset);
    }
}
