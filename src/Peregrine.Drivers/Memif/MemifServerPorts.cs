// The server's side of a ring pair: it takes packets from wherever the client's descriptors say, and puts its own into the buffers that
// the client offers. Region, offset and length of each descriptor are read once and checked once, and only what was read is used.
using System.Runtime.InteropServices;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Memif;

/// <summary>Packets from the client: the client advances head, we advance tail.</summary>
internal sealed unsafe class MemifServerReceiver(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits)
    : MemifReceiver(session, ring, frames, limits)
{
    private ushort _tail = ring.LoadTail();

    public override bool HasFrames => Ring.LoadHead() != _tail;

    public override int Receive(Span<Frame> burst, ref LinkQueueCounters counters)
    {
        int waiting = (ushort)(Ring.LoadHead() - _tail);
        if (waiting == 0) return 0;
        if (waiting > Ring.Count)
        {
            counters.ReceiveErrors++;
            Session.Fail("head lies outside of the ring");
            return 0;
        }
        var received = 0;
        while (received < burst.Length && waiting > 0)
        {
            var assembly = new FrameAssembly(Frames);
            waiting -= Take(ref assembly, waiting, out var isWellFormed);
            if (TryFinish(ref assembly, isWellFormed, ref counters)) burst[received++] = assembly.Frame;
        }
        Ring.StoreTail(_tail);
        counters.ReceivedFrames += received;
        return received;
    }

    /// <summary>Copies one packet, from at most <paramref name="waiting"/> descriptors; returns how many it had.</summary>
    private int Take(ref FrameAssembly assembly, int waiting, out bool isWellFormed)
    {
        isWellFormed = true;
        var regions = Session.Regions;
        for (var used = 1; ; used++)
        {
            var descriptor = Ring.Load(_tail++);
            if (descriptor.Region >= (uint)regions.Length || !regions[descriptor.Region].Contains(descriptor.Offset, descriptor.Length)
                || descriptor.Length > (uint)(Limits.Longest - assembly.Frame.Length))
            {
                isWellFormed = false;
            }
            if (isWellFormed) assembly.Append(regions[descriptor.Region].Base + descriptor.Offset, (int)descriptor.Length);
            if (!descriptor.HasNext) return used;
            if (used < waiting) continue;
            // A packet is shown as a whole, or it is none.
            isWellFormed = false;
            return used;
        }
    }
}

/// <summary>Packets to the client: the client offers buffers by advancing head, we fill them and advance tail.</summary>
internal sealed unsafe class MemifServerSender(MemifSession session, MemifRing ring, FramePool frames, MemifLimits limits)
    : MemifSender(session, ring, frames, limits)
{
    private ushort _tail = ring.LoadTail();

    public override int Transmit(ReadOnlySpan<Frame> burst, ref LinkQueueCounters counters)
    {
        int offered = (ushort)(Ring.LoadHead() - _tail);
        if (offered > Ring.Count)
        {
            Session.Fail("head lies outside of the ring");
            return 0;
        }
        int taken = 0, sent = 0;
        for (; taken < burst.Length; taken++)
        {
            ref readonly var frame = ref burst[taken];
            if (!IsSendable(frame))
            {
                Drop(frame, ref counters);
                continue;
            }
            var used = Put(frame, offered);
            if (used < 0) break;
            if (used == 0)
            {
                if (offered < Ring.Count) break;
                // All that there can ever be was offered, and it is too little.
                Drop(frame, ref counters);
                continue;
            }
            _tail += (ushort)used;
            offered -= used;
            sent++;
            counters.SentBytes += frame.Length;
            Frames.Return(frame);
        }
        counters.SentFrames += sent;
        if (sent == 0) return taken;
        Ring.StoreTail(_tail);
        Signal(ref counters);
        return taken;
    }

    /// <summary>Copies a frame into offered buffers. How many it took; 0 when they are too few, -1 when one of them is none.</summary>
    private int Put(in Frame frame, int offered)
    {
        if (offered == 0) return 0;
        if (!TryLoad(_tail, out var first)) return -1;
        if (frame.Length <= first.Length)
        {
            CopyWhole(frame, Session.Regions[first.Region].Base + first.Offset);
            Ring.Store(_tail, 0, first.Region, (uint)frame.Length, first.Offset);
            return 1;
        }
        if ((frame.Flags & FrameFlags.ChecksumUnfinished) == 0) return PutParts(frame, first, offered);
        // The sum is made before; a frame that has to come again is as it was.
        var field = Frames.Head(frame).Slice(frame.ChecksumStart + frame.ChecksumOffset, 2);
        var pseudo = MemoryMarshal.Read<ushort>(field);
        var finished = frame;
        FrameChecksum.TryFinish(Frames, ref finished);
        var used = PutParts(finished, first, offered);
        if (used <= 0) MemoryMarshal.Write(field, pseudo);
        return used;
    }

    private int PutParts(in Frame frame, MemifDescriptor buffer, int offered)
    {
        var copied = 0;
        for (var used = 1; ; used++)
        {
            var n = (int)Math.Min(buffer.Length, (uint)(frame.Length - copied));
            Frames.CopyTo(frame, copied, new Span<byte>(Session.Regions[buffer.Region].Base + buffer.Offset, n));
            copied += n;
            Ring.Store((ushort)(_tail + used - 1), copied < frame.Length ? MemifDescriptor.FlagNext : (ushort)0, buffer.Region, (uint)n, buffer.Offset);
            if (copied == frame.Length) return used;
            if (used == offered) return 0;
            if (!TryLoad((ushort)(_tail + used), out buffer)) return -1;
        }
    }

    /// <summary>Reads and checks an offered buffer; false when it is none, and the session ends.</summary>
    private bool TryLoad(ushort index, out MemifDescriptor buffer)
    {
        buffer = Ring.Load(index);
        var regions = Session.Regions;
        if (buffer.Length != 0 && buffer.Region < (uint)regions.Length && regions[buffer.Region].Contains(buffer.Offset, buffer.Length)) return true;
        Session.Fail("offered buffer lies outside of its region");
        return false;
    }
}
