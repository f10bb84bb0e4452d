// What a driver's tests give to the suite: its link, and a peer at the other end that sends and receives raw frames.
using System.Buffers.Binary;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Tests;

/// <summary>A link under test with its peer. Made anew for each test.</summary>
public abstract class LinkSetup : IDisposable
{
    private const ushort ExperimentalType = 0x88B5;
    private const int Mark = 0x7065_7265;

    /// <summary>The link; opened when the setup is made, and again by <see cref="Reopen"/>.</summary>
    public abstract ILink Link { get; }

    /// <summary>The pool of the queue under test.</summary>
    public abstract FramePool Pool { get; }

    /// <summary>The queue under test; opened by the suite with <see cref="Pool"/>.</summary>
    public ILinkQueue Queue { get; private set; } = null!;

    /// <summary>The peer sends a frame to the link.</summary>
    public abstract void Send(ReadOnlySpan<byte> frame);

    /// <summary>The peer receives the next frame, waiting a little where it must; null when none comes.</summary>
    public abstract byte[]? Receive();

    /// <summary>Lets the peer do what it does on its own time, for peers that are stacks or rings without a kernel. Called between steps.</summary>
    public virtual void Turn()
    {
    }

    /// <summary>Closes the link and opens it again at the same place.</summary>
    public abstract void Reopen();

    /// <summary>How many frames may be under way to the link at once without loss.</summary>
    public virtual int BurstCountMax => 256;

    /// <summary>The longest frame.</summary>
    public virtual int FrameLengthMax => Link.Mtu + (Link.Medium == LinkMedium.Ethernet ? 14 : 0);

    /// <summary>Whether the link takes frames of several chunks. One that does not must say so by a counter.</summary>
    public virtual bool TakesChains => true;

    /// <summary>What the kernel's interface has counted, frames to the link and from it, as <c>ip -s link</c> shows them; null where there is none.</summary>
    public virtual (long ToLink, long FromLink)? KernelFrames => null;

    /// <summary>The peer's address, for the frames it sends.</summary>
    public virtual MacAddress PeerAddress => new(0x0200_0000_00FE);

    /// <summary>Opens the queue under test.</summary>
    public void OpenQueue()
    {
        Queue = Link.OpenQueue(0, Pool);
        OnQueueOpened();
    }

    /// <summary>Brings both ends together, where that takes more than opening a queue.</summary>
    protected virtual void OnQueueOpened()
    {
    }

    /// <summary>A frame that nobody but the suite uses, recognizable by number. At least 60 bytes.</summary>
    public byte[] Make(int number, int length, bool toLink)
    {
        var frame = PoolFixture.Pattern(length, number);
        var header = Link.Medium == LinkMedium.Ethernet ? 14 : 20;
        if (header == 14)
        {
            (toLink ? Link.MacAddress : PeerAddress).WriteTo(frame);
            (toLink ? PeerAddress : Link.MacAddress).WriteTo(frame.AsSpan(6));
            BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), ExperimentalType);
        }
        else
        {
            PoolFixture.Ip(IpAddress.Parse("198.51.100.1"), IpAddress.Parse("198.51.100.2"), 253, frame.AsSpan(20)).CopyTo(frame, 0);
        }
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(header), Mark);
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(header + 4), number);
        return frame;
    }

    /// <summary>Whether the frame is one of the suite's; kernels send others by themselves.</summary>
    public bool IsOurs(ReadOnlySpan<byte> frame)
    {
        var header = Link.Medium == LinkMedium.Ethernet ? 14 : 20;
        return frame.Length >= 60 && BinaryPrimitives.ReadInt32BigEndian(frame[header..]) == Mark;
    }

    /// <summary>The number that one of the suite's frames was made with.</summary>
    public int NumberOf(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadInt32BigEndian(frame[((Link.Medium == LinkMedium.Ethernet ? 14 : 20) + 4)..]);

    /// <summary>Ends everything.</summary>
    public abstract void Dispose();
}
