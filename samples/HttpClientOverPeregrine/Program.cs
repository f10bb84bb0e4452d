// HttpClient over Peregrine: one line, the ConnectCallback. TLS, HTTP/2 and pooling stay HttpClient's own.
// Run as root with a URL of a server that this machine's kernel has on 192.0.2.1, for example http://192.0.2.1:8000/
using Peregrine;
using Peregrine.Drivers;
using Peregrine.Wire;

using var link = TapLink.Open("peregrine0", new TapOptions { KernelAddresses = [IpPrefix.Parse("192.0.2.1/24")], BringUp = true });
await using var network = await PeregrineNetwork.StartAsync(new PeregrineOptions { Name = "http", Addresses = ["192.0.2.2/24"] }, link, platform: new LinuxPlatform());

using var http = new HttpClient(new SocketsHttpHandler { ConnectCallback = network.ConnectAsync, UseProxy = false });
using var response = await http.GetAsync(new Uri(args.Length > 0 ? args[0] : "http://192.0.2.1:8000/"));
Console.WriteLine($"HTTP/{response.Version} {(int)response.StatusCode}");
Console.WriteLine(await response.Content.ReadAsStringAsync());
