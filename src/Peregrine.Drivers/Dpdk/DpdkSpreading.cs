// How a port spreads flows over its queues: the hash's key, and the table from hashes to queues. In the port's control section.
namespace Peregrine.Drivers.Dpdk;

internal static unsafe class DpdkSpreading
{
    public static byte[] ReadKey(DpdkPort port)
    {
        var key = new byte[port.HashKeyLength];
        var conf = stackalloc nint[3];
        fixed (byte* bytes = key)
        {
            (conf[0], conf[1], conf[2]) = ((nint)bytes, key.Length, 0);
            port.Check(port.Eal.Library.GetHash(port.Id, conf), "has no hash key to read");
        }
        return key;
    }

    public static void SetKey(DpdkPort port, byte[] key)
    {
        if (key.Length != port.HashKeyLength) throw new ArgumentException($"The device's key has {port.HashKeyLength} bytes, not {key.Length}.", nameof(key));
        var conf = stackalloc nint[3];
        (conf[0], conf[1], conf[2]) = (0, 0, 0);
        port.Check(port.Eal.Library.GetHash(port.Id, conf), "has no hash key to set");
        fixed (byte* bytes = key)
        {
            // What is hashed stays as it is.
            (conf[0], conf[1]) = ((nint)bytes, key.Length);
            port.Check(port.Eal.Library.SetHash(port.Id, conf), "does not take a hash key");
        }
    }

    public static ushort[] ReadTable(DpdkPort port)
    {
        var queues = new ushort[port.TableSize];
        UseTable(port, queues, write: false);
        return queues;
    }

    public static void SetTable(DpdkPort port, ushort[] queues) => UseTable(port, queues, write: true);

    private static void UseTable(DpdkPort port, ushort[] queues, bool write)
    {
        var dpdk = port.Eal.Library;
        var groups = (queues.Length + DpdkAbi.TableEntryCount - 1) / DpdkAbi.TableEntryCount;
        var entries = new byte[Math.Max(groups, 1) * DpdkAbi.TableEntrySize];
        fixed (byte* first = entries)
        {
            for (var i = 0; i < groups; i++) *(ulong*)(first + (i * DpdkAbi.TableEntrySize)) = ulong.MaxValue;
            for (var i = 0; i < queues.Length; i++) *Entry(first, i) = queues[i];
            port.Check(write ? dpdk.SetTable(port.Id, first, (ushort)queues.Length) : dpdk.GetTable(port.Id, first, (ushort)queues.Length), "has no redirection table");
            for (var i = 0; i < queues.Length; i++) queues[i] = *Entry(first, i);
        }
    }

    private static ushort* Entry(byte* entries, int index) =>
        (ushort*)(entries + (index / DpdkAbi.TableEntryCount * DpdkAbi.TableEntrySize) + DpdkAbi.TableEntryQueues) + (index % DpdkAbi.TableEntryCount);
}
