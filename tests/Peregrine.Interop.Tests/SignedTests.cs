// MD5 signatures with the kernel's TCP_MD5SIG at the other end: both ways to open, both families, resets, and a key that is another.
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Sockets;

namespace Peregrine.Interop.Tests;

public sealed class SignedTests(TapSite site) : IClassFixture<TapSite>
{
    private const int TransferLength = 8 << 20;
    private const string Secret = "a secret of both";
    private static readonly TcpKeySet s_keys = new(new TcpKey(TcpKeyAlgorithm.Md5, Encoding.ASCII.GetBytes(Secret)));

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task KernelClientAndWeTalkInSignedSegments(bool v6)
    {
        site.Need();
        await using var listener = site.Network.ListenTcp(new IPEndPoint(Site.Ours(v6), 179), new TcpListenerOptions { Keys = s_keys });
        var accept = listener.AcceptAsync().AsTask();
        using var client = site.KernelSocket(SocketType.Stream, v6);
        SetKey(client, Site.Ours(v6), Secret);
        await client.ConnectAsync(new IPEndPoint(Site.Ours(v6), 179));
        using (var server = await accept)
        {
            var sending = Payload.SendAsync(server, TransferLength).AsTask();
            await ExpectPayloadAsync(client);
            await sending;
        }
        Assert.Equal(0, await client.ReceiveAsync(new byte[1]));
        client.Dispose();
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task WeConnectToTheKernelInSignedSegments(bool v6)
    {
        site.Need();
        var (listener, at) = site.KernelListener(v6);
        using var _ = listener;
        SetKey(listener, Site.Ours(v6), Secret);
        var accept = listener.AcceptAsync();
        using (var connection = await site.Network.ConnectTcpAsync(at, new TcpConnectionOptions { Keys = s_keys }))
        {
            using var server = await accept;
            var sending = Payload.SendAsync(connection, TransferLength).AsTask();
            await ExpectPayloadAsync(server);
            await sending;
            // The kernel's reset is signed, and counts.
            server.LingerState = new LingerOption(true, 0);
            server.Dispose();
            await Assert.ThrowsAsync<SocketException>(async () => await connection.ReceiveAsync(new byte[1]));
        }
        await site.ExpectQuietAsync();
    }

    [Fact(Timeout = Site.TimeoutMs)]
    public async Task KernelThatHasAnotherKeyIsNotHeard()
    {
        site.Need();
        var before = site.OnCore(static stack => stack.Tcp.ExtCounters.TCPMD5Failure);
        await using var listener = site.Network.ListenTcp(new IPEndPoint(Site.Ours4, 179), new TcpListenerOptions { Keys = s_keys });
        using var client = site.KernelSocket(SocketType.Stream, v6: false);
        SetKey(client, Site.Ours4, "another");
        var connecting = client.ConnectAsync(new IPEndPoint(Site.Ours4, 179));
        await Site.Until(() => site.OnCore(static stack => stack.Tcp.ExtCounters.TCPMD5Failure) > before, "the signature was looked at");
        client.Dispose();
        await Assert.ThrowsAnyAsync<SocketException>(() => connecting);
        Assert.Equal(0, site.OnCore(static stack => stack.Tcp.SynBacklogCount));
    }

    private static async Task ExpectPayloadAsync(Socket socket)
    {
        var buffer = new byte[TransferLength];
        await Payload.ReceiveAllAsync(socket, buffer);
        Assert.Equal(Payload.HashOf(TransferLength), Convert.ToHexStringLower(SHA256.HashData(buffer)));
    }

    // struct tcp_md5sig of linux/tcp.h: address 128 bytes, flags, prefix length, key length, interface, key 80 bytes.
    private static void SetKey(Socket socket, IPAddress peer, string secret)
    {
        const int ipProtoTcp = 6, tcpMd5Sig = 14, keyLengthOffset = 130, keyOffset = 136;
        var option = new byte[keyOffset + 80];
        var isV6 = peer.AddressFamily == AddressFamily.InterNetworkV6;
        // sockaddr_in and sockaddr_in6: the family in the machine's order, port 0, the address.
        BitConverter.TryWriteBytes(option, (ushort)(isV6 ? 10 : 2));
        peer.GetAddressBytes().CopyTo(option, isV6 ? 8 : 4);
        BitConverter.TryWriteBytes(option.AsSpan(keyLengthOffset), (ushort)secret.Length);
        Encoding.ASCII.GetBytes(secret).CopyTo(option, keyOffset);
        try
        {
            socket.SetRawSocketOption(ipProtoTcp, tcpMd5Sig, option);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.ProtocolOption or SocketError.OperationNotSupported)
        {
            Assert.Skip("not run: this kernel has no TCP_MD5SIG");
        }
    }
}
