using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;
using Peregrine.Drivers.Xdp;

namespace Peregrine.Drivers.Tests;

public sealed class DeviceFeaturesTests
{
    [Fact]
    public void TheKernelsDriversSayWhatTheyCan()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not run: a namespace needs root");
        using var space = NetworkNamespace.Create();
        var (features, index) = space.Run(static () =>
        {
            KernelInterface.AddPair("feat0", "feat1");
            return (DeviceFeatures.TryReadAll(), InterfaceDump.Read().ToDictionary(static one => one.Name, static one => one.Index));
        });
        Assert.SkipWhen(features is null, "not run: Linux before 6.3 does not say");
        Assert.Equal(index.Values.Order(), features.Keys.Order());
        Assert.Equal((true, false), (features[index["feat0"]].IsNative, features[index["feat0"]].HasZeroCopy));
        Assert.Equal(default, features[index["lo"]]);
        // The kernel sums for veth in copy mode; without copies nobody would.
        Assert.False(XdpSocket.FinishesChecksums(features, index["feat0"]));
    }

    [Fact]
    public void AttributesAreThoseOfTheKernelsHeader()
    {
        // linux/netdev.h: IFINDEX 1, PAD 2, XDP_FEATURES 3, XDP_ZC_MAX_SEGS 4, XDP_RX_METADATA_FEATURES 5, XSK_FEATURES 6.
        List<byte> bytes = [];
        void Add<T>(ushort kind, T value) where T : unmanaged
        {
            var data = MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value));
            bytes.AddRange([.. MemoryMarshal.AsBytes(new ReadOnlySpan<ushort>([(ushort)(4 + data.Length), kind])), .. data]);
        }
        Add(1, 7);
        Add(3, 0x2BUL);
        Add(4, 1);
        Add(5, 7UL);
        Add(6, 2UL);
        var found = new Dictionary<int, DeviceFeatures>();
        DeviceFeatures.Take(CollectionsMarshal.AsSpan(bytes), found);
        Assert.Equal(new DeviceFeatures(0x2B, 2), found[7]);
        Assert.True(found[7] is { IsNative: true, HasZeroCopy: true, FinishesChecksums: true });
        Assert.Equal((true, false, false), (XdpSocket.FinishesChecksums(found, 7), XdpSocket.FinishesChecksums(found, 8), XdpSocket.FinishesChecksums(null, 7)));
        // What is cut off is not there.
        DeviceFeatures.Take(CollectionsMarshal.AsSpan(bytes)[..14], found);
        Assert.Equal(default, found[7]);
    }
}
