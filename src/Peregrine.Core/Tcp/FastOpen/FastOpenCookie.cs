// The cookie of TCP Fast Open (RFC 7413 §4.1.1) as a value, and the flags of a connection that has to do with it.
using System.Runtime.InteropServices;

namespace Peregrine.Core.Tcp.FastOpen;

/// <summary>A cookie: 4 to 16 bytes and even, or none.</summary>
internal readonly record struct FastOpenCookie
{
    internal const int LengthMax = 16;

    private readonly UInt128 _bytes;

    internal FastOpenCookie(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(MemoryMarshal.AsBytes(new Span<UInt128>(ref _bytes)));
        Length = (byte)bytes.Length;
    }

    internal byte Length { get; }

    /// <summary>Writes the cookie; returns the part of <paramref name="destination"/> that it fills.</summary>
    internal ReadOnlySpan<byte> WriteTo(Span<byte> destination)
    {
        MemoryMarshal.AsBytes(new ReadOnlySpan<UInt128>(in _bytes))[..Length].CopyTo(destination);
        return destination[..Length];
    }
}

/// <summary>What is true of a connection by RFC 7413.</summary>
[Flags]
internal enum FastOpenFlags : byte
{
    None = 0,

    /// <summary>We connect, and our SYN asks for a cookie or uses one: the first only.</summary>
    Client = 1,

    /// <summary>A SYN of ours had a cookie or, where none is needed, data.</summary>
    Used = 2,

    /// <summary>Data of the SYN were taken by the peer, or by us: FastOpened of §4.2.</summary>
    DataTaken = 4,

    /// <summary>Opened by the peer's SYN, whose data we took; our SYN-ACK is not acknowledged yet.</summary>
    Pending = 8,

    /// <summary>With <see cref="Pending"/>, where there is no use of a cookie of ours: the SYN-ACK brings a new one.</summary>
    Granting = Used,
}
