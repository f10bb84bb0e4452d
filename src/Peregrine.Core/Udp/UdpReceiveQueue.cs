// The datagrams that wait for a socket's user: copied out of their frames into blocks, in order, bounded by the memory they take.
// The first block of each begins with a record of where it came from; the blocks' notes chain blocks and datagrams.
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Udp;

/// <summary>Receive queues over one pool of blocks.</summary>
internal sealed unsafe class UdpReceiveQueue(ChunkPool blocks, FramePool frames)
{
    private struct Record
    {
        public Endpoint From;
        public IpAddress To;
        public int Length;
        public int BlockCount;
    }

    /// <summary>Blocks that a datagram takes.</summary>
    public int BlocksFor(int length) => (sizeof(Record) + length + blocks.ChunkSize - 1) / blocks.ChunkSize;

    /// <summary>Copies a datagram in; false when blocks are few.</summary>
    public bool TryAdd(ref UdpSocket socket, in Frame frame, int offset, int length, in Endpoint from, in IpAddress to)
    {
        if (!BlockPressure.LeavesReceiveReserve(blocks) || !blocks.TryRent(out uint first)) return false;
        uint last = first;
        int done = 0, start = sizeof(Record), count = 1;
        while (true)
        {
            int part = Math.Min(length - done, blocks.ChunkSize - start);
            frames.CopyTo(frame, offset + done, new Span<byte>(blocks.Address(last) + start, part));
            done += part;
            if (done == length) break;
            if (!BlockPressure.LeavesReceiveReserve(blocks) || !blocks.TryRent(out uint next))
            {
                blocks.ReturnChain(first);
                return false;
            }

            blocks.Note(last).Next = next;
            (last, start, count) = (next, 0, count + 1);
        }

        *(Record*)blocks.Address(first) = new Record { From = from, To = to, Length = length, BlockCount = count };
        blocks.Note(first).Tag = ChunkPool.None;
        if (socket.QueueHead == ChunkPool.None) socket.QueueHead = first;
        else blocks.Note(socket.QueueTail).Tag = first;
        socket.QueueTail = first;
        socket.QueuedBytes += count * blocks.ChunkSize;
        return true;
    }

    /// <summary>Copies the oldest datagram out and forgets it; -1 when there is none.</summary>
    public int Take(ref UdpSocket socket, Span<byte> destination, out Endpoint from, out IpAddress to, out bool truncated)
    {
        (from, to, truncated) = (default, default, false);
        uint first = socket.QueueHead;
        if (first == ChunkPool.None) return -1;
        Record record = *(Record*)blocks.Address(first);
        (from, to, truncated) = (record.From, record.To, record.Length > destination.Length);
        int wanted = Math.Min(record.Length, destination.Length), done = 0, start = sizeof(Record);
        for (uint block = first; done < wanted; block = blocks.Note(block).Next)
        {
            int part = Math.Min(wanted - done, blocks.ChunkSize - start);
            new ReadOnlySpan<byte>(blocks.Address(block) + start, part).CopyTo(destination[done..]);
            done += part;
            start = 0;
        }

        RemoveFirst(ref socket);
        return wanted;
    }

    /// <summary>Bytes of the oldest datagram, or -1.</summary>
    public int NextLength(in UdpSocket socket) => socket.QueueHead == ChunkPool.None ? -1 : ((Record*)blocks.Address(socket.QueueHead))->Length;

    public void Clear(ref UdpSocket socket)
    {
        while (socket.QueueHead != ChunkPool.None) RemoveFirst(ref socket);
    }

    private void RemoveFirst(ref UdpSocket socket)
    {
        uint first = socket.QueueHead;
        socket.QueuedBytes -= ((Record*)blocks.Address(first))->BlockCount * blocks.ChunkSize;
        socket.QueueHead = blocks.Note(first).Tag;
        if (socket.QueueHead == ChunkPool.None) socket.QueueTail = ChunkPool.None;
        blocks.ReturnChain(first);
    }
}
