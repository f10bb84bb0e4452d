// Events of DPDK: a device that was pulled out, on the interrupt thread, or removed, on the thread of whoever did that. The only native code that
// calls us, and never within a burst.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Dpdk;

internal static unsafe class DpdkEvents
{
    private static readonly DpdkPort?[] s_ports = new DpdkPort?[DpdkAbi.PortCountMax];

    public static void Watch(DpdkPort port)
    {
        Volatile.Write(ref s_ports[port.Id], port);
        // A driver that has no such events never calls; one that refuses is asked by polling (rte_eth_dev_is_removed).
        port.Eal.Library.RegisterEvent(port.Id, DpdkAbi.EventRemoved, Function, 0);
        port.Eal.Library.RegisterEvent(port.Id, DpdkAbi.EventDestroyed, Function, 0);
    }

    public static void Forget(DpdkPort port)
    {
        if (Interlocked.CompareExchange(ref s_ports[port.Id], null, port) != port) return;
        port.Eal.Library.UnregisterEvent(port.Id, DpdkAbi.EventRemoved, Function, 0);
        port.Eal.Library.UnregisterEvent(port.Id, DpdkAbi.EventDestroyed, Function, 0);
    }

    private static void* Function => (delegate* unmanaged[Cdecl]<ushort, int, nint, nint, int>)&OnEvent;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int OnEvent(ushort port, int happened, nint argument, nint detail)
    {
        if (port >= s_ports.Length || Volatile.Read(ref s_ports[port]) is not { } known) return 0;
        if (happened == DpdkAbi.EventDestroyed) known.OnDestroyed();
        else known.OnGone();
        return 0;
    }
}
