// A client that uses a connection as an ordinary Stream: fetches a page by hand from a server of this machine's kernel.
// Run as root, with something that listens there: python3 -m http.server 8000 --bind 0.0.0.0, and as an argument the port.
using System.Net;
using System.Text;
using Peregrine;
using Peregrine.Drivers;
using Peregrine.Wire;

var port = args.Length > 0 ? int.Parse(args[0], System.Globalization.CultureInfo.InvariantCulture) : 8000;
using var link = TapLink.Open("peregrine0", new TapOptions { KernelAddresses = [IpPrefix.Parse("192.0.2.1/24")], BringUp = true });
await using var network = await PeregrineNetwork.StartAsync(new PeregrineOptions { Name = "client", Addresses = ["192.0.2.2/24"] }, link, platform: new LinuxPlatform());

await using var connection = await network.ConnectTcpAsync(new IPEndPoint(IPAddress.Parse("192.0.2.1"), port));
Console.WriteLine($"{connection.LocalEndPoint} -> {connection.RemoteEndPoint}");
await using var stream = connection.AsStream();
await stream.WriteAsync(Encoding.ASCII.GetBytes("GET / HTTP/1.0\r\nHost: 192.0.2.1\r\n\r\n"));
using var reader = new StreamReader(stream);
Console.WriteLine(await reader.ReadToEndAsync());
