// What is known of DPDK's drivers and cannot be asked of them: whether a burst makes system calls, whether any memory will do for its buffers,
// what it calls its queues. A driver that is not listed gets what is safe for all.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Dpdk;

/// <param name="Prefix">How its name begins.</param>
/// <param name="MakesSystemCalls">Whether a burst may enter the kernel. Then the collector must be told of the call, or a collection waits for it.</param>
/// <param name="TakesAnyMemory">Whether a buffer may lie anywhere in the process. False where it is found from the buffer pool's own memory (AF_XDP, virtio-user).</param>
/// <param name="QueueWord">The argument by which it is told how many queues to make, or null.</param>
/// <param name="SharesKernelAddress">Whether its address is also that of the kernel's interface at the other end.</param>
/// <param name="ReceiveBuffersMin">Buffers that it takes whatever the ring's size.</param>
/// <param name="MakesInterface">Whether the kernel's interface is the driver's own work, so that one that was deleted is made again and not waited for.</param>
/// <param name="NeedsRights">Whether making the device takes rights, and not only access to a socket or a file.</param>
/// <param name="ListensWith">Where the driver connects to its other end only when it is made, and not again: the argument by which it listens instead; else null.</param>
/// <param name="ComesBack">Whether a device that is lost may be made anew. Not net_memif: it closes descriptors that DPDK's interrupt thread still waits for, which then aborts the process.</param>
/// <param name="CarrierByInterrupt">Whether DPDK's interrupt thread is to follow the carrier. For virtio-user: it watches its socket there in any case once the other end has come anew,
/// stops watching when the port stops only if it was told to, and has no lock against a second thread that looks at the socket too.</param>
/// <param name="Defaults">Arguments that belong together: added where the user gave none of those names.</param>
internal sealed record DpdkDriver(
    string Prefix, bool MakesSystemCalls = true, bool TakesAnyMemory = false, string? QueueWord = null, bool SharesKernelAddress = false, int ReceiveBuffersMin = 0,
    bool MakesInterface = false, bool NeedsRights = true, string? ListensWith = null, bool ComesBack = true, bool CarrierByInterrupt = false, params string[] Defaults)
{
    private static readonly DpdkDriver[] s_known =
    [
        new("net_null", MakesSystemCalls: false, TakesAnyMemory: true, NeedsRights: false),
        new("net_ring", MakesSystemCalls: false, TakesAnyMemory: true, NeedsRights: false),
        // Its ring's frames must fit a chunk of 2 KiB behind DPDK's headroom, which the default of 2,048 does not. They must also fill a block: the
        // kernel begins each block anew, the driver counts on; 1,920 is 15 times a power of two, so the block is 15 pages.
        new("net_af_packet", TakesAnyMemory: true, QueueWord: "qpairs", Defaults: ["framesz=1920", $"blocksz={15 * Posix.PageSize}"]),
        new("net_pcap", TakesAnyMemory: true, NeedsRights: false),
        new("net_tap", TakesAnyMemory: true, SharesKernelAddress: true, MakesInterface: true),
        new("net_memif", TakesAnyMemory: true, NeedsRights: false, ComesBack: false),
        new("net_vhost", TakesAnyMemory: true, QueueWord: "queues", NeedsRights: false),
        // Its fill queue takes 4,096 at once, and fails to start without them.
        new("net_af_xdp", QueueWord: "queue_count", ReceiveBuffersMin: 8192),
        new("net_virtio_user", QueueWord: "queues", NeedsRights: false, ListensWith: "server=1", CarrierByInterrupt: true),
    ];

    // Poll-mode drivers of cards: doorbells by stores, never a system call. None of them could be tried; frames are copied unless asked otherwise.
    private static readonly string[] s_cards =
        ["net_e1000_igb", "net_e1000_em", "net_igc", "net_ixgbe", "net_i40e", "net_ice", "net_iavf", "mlx5_pci", "net_mlx4", "net_ena", "net_bnxt", "net_vmxnet3", "net_virtio"];

    /// <summary>What is known of a driver by the name that it gives itself or that the user gave the device.</summary>
    public static DpdkDriver For(string name)
    {
        foreach (var driver in s_known)
        {
            if (name.StartsWith(driver.Prefix, StringComparison.Ordinal)) return driver;
        }
        return new DpdkDriver(name, MakesSystemCalls: !s_cards.Contains(name));
    }
}
