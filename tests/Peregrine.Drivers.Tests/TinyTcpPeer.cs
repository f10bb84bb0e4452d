// Just enough TCP, by hand, to make the kernel send and take super-segments: one handshake, no retransmission. Not the stack's.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

internal sealed class TinyTcpPeer(TapFixture tap, bool v6) : IDisposable
{
    public const int Mss = 1200;
    private const byte Tcp = 6;
    private const byte Syn = 2, Push = 8, Acknowledge = 16;

    private uint _next = 1_000_000, _expected;
    private ushort _kernelPort;

    public Socket Kernel { get; } = tap.KernelSocket(SocketType.Stream, v6);

    public int TcpOffset => tap.IpOffset + (v6 ? 40 : 20);

    private IpAddress Ours => v6 ? TapFixture.Ours6 : TapFixture.Ours4;

    private IpAddress Theirs => v6 ? TapFixture.Kernel6 : TapFixture.Kernel4;

    public void Dispose() => Kernel.Dispose();

    /// <summary>Lets the kernel's socket connect to us and answers.</summary>
    public void Accept()
    {
        Kernel.Blocking = false;
        try
        {
            Kernel.Connect(TapFixture.End(Ours, 80));
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
        }
        Kernel.Blocking = true;
        var frame = PoolFixture.Bytes(tap.Pool, tap.Next(bytes => tap.IsProtocol(bytes, v6, Tcp) && bytes[TcpOffset + 13] == Syn));
        var syn = frame.AsSpan(TcpOffset);
        Assert.Equal(Theirs, v6 ? IpAddress.ReadIPv6(frame.AsSpan(tap.IpOffset + 8)) : IpAddress.ReadIPv4(frame.AsSpan(tap.IpOffset + 12)));
        _kernelPort = BinaryPrimitives.ReadUInt16BigEndian(syn);
        _expected = BinaryPrimitives.ReadUInt32BigEndian(syn[4..]) + 1;
        for (var attempt = 0; attempt < 5; attempt++)
        {
            Send(Syn | Acknowledge, [2, 4, Mss >> 8, Mss & 0xFF], [], 0);
            // A SYN that comes again is answered again, as any peer would.
            var answer = PoolFixture.Bytes(tap.Pool, tap.Next(bytes => tap.IsProtocol(bytes, v6, Tcp)));
            if ((answer[TcpOffset + 13] & Acknowledge) == 0) continue;
            _next++;
            return;
        }
        Assert.Fail("the kernel did not take the connection");
    }

    /// <summary>The payload of a TCP frame; empty for anything else.</summary>
    public ReadOnlySpan<byte> PayloadOf(byte[] frame) =>
        tap.IsProtocol(frame, v6, Tcp) ? frame.AsSpan(TcpOffset + ((frame[TcpOffset + 12] >> 4) * 4)) : default;

    /// <summary>Sends a super-segment with an unfinished checksum.</summary>
    public void SendSuperSegment(byte[] payload, int segmentSize)
    {
        Send(Push | Acknowledge, [], payload, segmentSize);
        _next += (uint)payload.Length;
    }

    private void Send(byte flags, ReadOnlySpan<byte> options, ReadOnlySpan<byte> payload, int segmentSize)
    {
        var length = 20 + options.Length;
        var segment = new byte[length + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(segment, 80);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(2), _kernelPort);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(4), _next);
        BinaryPrimitives.WriteUInt32BigEndian(segment.AsSpan(8), _expected);
        (segment[12], segment[13]) = ((byte)(length << 2), flags);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(14), 65_000);
        options.CopyTo(segment.AsSpan(20));
        payload.CopyTo(segment.AsSpan(length));
        InternetChecksum.StorePartial(segment.AsSpan(16), InternetChecksum.PseudoHeader(Ours, Theirs, Tcp, segment.Length));
        var frame = PoolFixture.Make(tap.Pool, tap.Framed(PoolFixture.Ip(Ours, Theirs, Tcp, segment)));
        (frame.Flags, frame.ChecksumStart, frame.ChecksumOffset) = (FrameFlags.ChecksumUnfinished, (ushort)TcpOffset, 16);
        if (segmentSize > 0)
        {
            frame.SegmentKind = v6 ? SegmentKind.Tcp6 : SegmentKind.Tcp4;
            frame.SegmentSize = (ushort)segmentSize;
            frame.HeaderLength = (byte)(TcpOffset + length);
        }
        Assert.Equal(1, tap.Queue.Transmit([frame]));
        Assert.Equal(0, tap.Queue.Counters.SendDroppedError);
    }
}
