using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Memif;

namespace Peregrine.Drivers.Tests;

/// <summary>Sizes and offsets that others have fixed, on every architecture that these tests run on.</summary>
public sealed unsafe class MemifLayoutTests
{
    [Fact]
    public void StructuresOfTheCLibraryHaveTheirSizes() =>
        Assert.Equal((56, 16, 16, 48, 8, 16),
            (sizeof(MessageHeader), sizeof(ControlHeader), sizeof(IoVector), sizeof(UserRecord), sizeof(FilterInstruction), sizeof(FilterProgram)));

    [Fact]
    public void RingLiesAsTheProtocolSays()
    {
        var memory = (byte*)NativeMemory.AlignedAlloc(4_096, 128);
        var ring = new MemifRing(memory, 4, -1);
        ring.Initialise();
        ring.StoreHead(0x0201);
        ring.StoreTail(0x0403);
        ring.SetSignalWanted(false);
        ring.Store(18, MemifDescriptor.FlagNext, 0x1122, 0x3344_5566, 0x7788_99AA);
        var bytes = new ReadOnlySpan<byte>(memory, 4_096);
        Assert.Equal([0x20, 0x1F, 0xE3, 0x03, 1, 0, 0x01, 0x02], bytes[..8].ToArray());
        Assert.Equal([0x03, 0x04], bytes.Slice(64, 2).ToArray());
        // Index 18 of 16 descriptors is the third.
        Assert.Equal([1, 0, 0x22, 0x11, 0x66, 0x55, 0x44, 0x33, 0xAA, 0x99, 0x88, 0x77, 0, 0, 0, 0], bytes.Slice(128 + 32, 16).ToArray());
        Assert.Equal(new MemifDescriptor(1, 0x1122, 0x3344_5566, 0x7788_99AA, 0), ring.Load(2));
        Assert.Equal(128 + 256, MemifRing.BytesFor(4));
        NativeMemory.AlignedFree(memory);
    }

    [Fact]
    public void MessagesLieAsTheProtocolSays()
    {
        var bytes = new byte[MemifMessage.Size];
        new MemifMessage(bytes).Write(new MemifHello("ab", 0x0200, 0x0201, 3, 4, 5, 14));
        Assert.Equal([2, 0, (byte)'a', (byte)'b', 0], bytes[..5]);
        Assert.Equal([0, 2, 1, 2, 3, 0, 4, 0, 5, 0, 14, 0], bytes[34..46]);
        new MemifMessage(bytes).Write(new MemifInit(0x0200, 0x0403_0201, 1, "n"), "s"u8);
        Assert.Equal([3, 0, 0, 2, 1, 2, 3, 4, 1, (byte)'s', 0], bytes[..11]);
        Assert.Equal([(byte)'n', 0], bytes[33..35]);
        new MemifMessage(bytes).Write(new MemifAddRegion(7, 0x0102));
        Assert.Equal([4, 0, 7, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0], bytes[..13]);
        new MemifMessage(bytes).Write(new MemifAddRing(true, 2, 1, 0x0304, 10, 0));
        Assert.Equal([5, 0, 1, 0, 2, 0, 1, 0, 4, 3, 0, 0, 10, 0, 0, 0], bytes[..16]);
        new MemifMessage(bytes).WriteDisconnect("why");
        Assert.Equal([8, 0, 0, 0, 0, 0, (byte)'w'], bytes[..7]);
        Assert.Equal("why", new MemifMessage(bytes).Reason);
    }
}
