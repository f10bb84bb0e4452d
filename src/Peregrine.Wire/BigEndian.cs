// Big-endian fields for header overlays. A field converts to and from host order where it is read or written, so that a header
// struct can be laid over packet bytes and look like the RFC's picture. These are fields, not numbers: there is no arithmetic here.
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>A 16-bit field in network byte order.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BigEndian16
{
    private readonly ushort _raw;

    private BigEndian16(ushort raw) => _raw = raw;

    /// <summary>The field as it lies in memory: what <see cref="InternetChecksum.Finish"/> returns.</summary>
    public ushort Raw => _raw;

    /// <summary>Makes a field from bytes that are already in network order, such as a finished checksum.</summary>
    public static BigEndian16 FromRaw(ushort raw) => new(raw);

    /// <summary>The value in host order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator ushort(BigEndian16 field) =>
        BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(field._raw) : field._raw;

    /// <summary>The field that holds a value given in host order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator BigEndian16(ushort value) =>
        new(BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value);

    /// <inheritdoc/>
    public override string ToString() => ((ushort)this).ToString();
}

/// <summary>A 32-bit field in network byte order.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BigEndian32
{
    private readonly uint _raw;

    private BigEndian32(uint raw) => _raw = raw;

    /// <summary>The value in host order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator uint(BigEndian32 field) =>
        BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(field._raw) : field._raw;

    /// <summary>The field that holds a value given in host order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator BigEndian32(uint value) =>
        new(BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value);

    /// <inheritdoc/>
    public override string ToString() => ((uint)this).ToString();
}

/// <summary>A 64-bit field in network byte order.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BigEndian64
{
    private readonly ulong _raw;

    private BigEndian64(ulong raw) => _raw = raw;

    /// <summary>The value in host order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator ulong(BigEndian64 field) =>
        BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(field._raw) : field._raw;

    /// <summary>The field that holds a value given in host order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static implicit operator BigEndian64(ulong value) =>
        new(BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value);

    /// <inheritdoc/>
    public override string ToString() => ((ulong)this).ToString();
}

/// <summary>Lays a header struct over bytes whose length has been checked.</summary>
internal static class Overlay
{
    /// <summary>The bytes as a header. The caller has checked that there are enough.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref readonly T On<T>(ReadOnlySpan<byte> bytes) where T : unmanaged =>
        ref Unsafe.As<byte, T>(ref MemoryMarshal.GetReference(bytes));

    /// <summary>The bytes as a header to be filled; throws <see cref="ArgumentException"/> when there are too few.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref T OnWritable<T>(Span<byte> bytes) where T : unmanaged
    {
        if (bytes.Length < Unsafe.SizeOf<T>()) ThrowTooShort();
        return ref Unsafe.As<byte, T>(ref MemoryMarshal.GetReference(bytes));
    }

    [System.Diagnostics.CodeAnalysis.DoesNotReturn]
    internal static void ThrowTooShort() => throw new ArgumentException("The destination is too short for what is to be written.");
}
