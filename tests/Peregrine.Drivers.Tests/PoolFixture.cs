// Pools, frames and packets of bytes for link tests. Hand-made on purpose: the stack's own formats are tested elsewhere.
using System.Buffers.Binary;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

internal static class PoolFixture
{
    public static FramePool Pool(int count = 512, int chunkSize = 2048) =>
        new(new ChunkPool(MemoryRegion.Allocate(ChunkPool.BytesFor(chunkSize, count)), chunkSize, count, "frames"));

    public static Frame Make(FramePool pool, ReadOnlySpan<byte> bytes, int headroom = FramePool.Headroom)
    {
        Assert.True(pool.TryRent(out var frame, headroom));
        frame.HeadLength = (ushort)Math.Min(bytes.Length, pool.Chunks.ChunkSize - headroom);
        frame.Length = frame.HeadLength;
        bytes[..frame.HeadLength].CopyTo(pool.Head(frame));
        var last = frame.Chunk;
        while (frame.Length < bytes.Length)
        {
            var at = frame.Length;
            var n = Math.Min(bytes.Length - at, pool.Chunks.ChunkSize);
            Assert.True(pool.TryExtend(ref frame, ref last, n));
            bytes.Slice(at, n).CopyTo(pool.ChunkSpan(last));
        }
        return frame;
    }

    public static byte[] Bytes(FramePool pool, in Frame frame)
    {
        var bytes = new byte[frame.Length];
        Assert.Equal(frame.Length, pool.CopyTo(frame, 0, bytes));
        return bytes;
    }

    public static byte[] Pattern(int length, int seed = 1)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Ethernet before a packet.</summary>
    public static byte[] Ethernet(MacAddress destination, MacAddress source, ushort type, ReadOnlySpan<byte> packet)
    {
        var frame = new byte[14 + packet.Length];
        destination.WriteTo(frame);
        source.WriteTo(frame.AsSpan(6));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
        packet.CopyTo(frame.AsSpan(14));
        return frame;
    }

    /// <summary>An IPv4 or IPv6 packet around a payload.</summary>
    public static byte[] Ip(IpAddress source, IpAddress destination, byte protocol, ReadOnlySpan<byte> payload)
    {
        var length = source.IsIPv4 ? 20 : 40;
        var packet = new byte[length + payload.Length];
        if (source.IsIPv4)
        {
            (packet[0], packet[8], packet[9]) = (0x45, 64, protocol);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
            source.WriteTo(packet.AsSpan(12));
            destination.WriteTo(packet.AsSpan(16));
            InternetChecksum.Store(packet.AsSpan(10), InternetChecksum.Sum(packet.AsSpan(0, 20)));
        }
        else
        {
            (packet[0], packet[6], packet[7]) = (0x60, protocol, 64);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)payload.Length);
            source.WriteTo(packet.AsSpan(8));
            destination.WriteTo(packet.AsSpan(24));
        }
        payload.CopyTo(packet.AsSpan(length));
        return packet;
    }

    /// <summary>An answer to an ARP request (a frame), saying that <paramref name="who"/> has the wanted address.</summary>
    public static byte[] ArpReply(ReadOnlySpan<byte> request, MacAddress who)
    {
        var reply = request[..42].ToArray();
        request.Slice(6, 6).CopyTo(reply);
        who.WriteTo(reply.AsSpan(6));
        reply[21] = 2;
        request.Slice(22, 10).CopyTo(reply.AsSpan(32));
        who.WriteTo(reply.AsSpan(22));
        request.Slice(38, 4).CopyTo(reply.AsSpan(28));
        return reply;
    }

    /// <summary>An IPv4 echo request.</summary>
    public static byte[] Echo(ushort number)
    {
        var message = new byte[32];
        (message[0], message[5]) = (8, 77);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), number);
        InternetChecksum.Store(message.AsSpan(2), InternetChecksum.Sum(message));
        return message;
    }
}
