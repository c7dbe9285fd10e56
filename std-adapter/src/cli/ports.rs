//! `phasemeter ports`: the serial ports of this machine.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serialport::{SerialPortInfo, SerialPortType};

use crate::text::{printable, to_json};

/// List the serial ports of this machine
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Args {
    /// Print versioned JSON (schema `phasemeter.ports/1`)
    #[arg(long)]
    json: bool,
}

/// Prints the ports, one a line. That there are none is not a failure.
///
/// # Errors
///
/// If the system does not list its ports, or standard output cannot be written.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut found = serialport::available_ports().context("cannot list the serial ports")?;
    found.sort_by(|a, b| a.port_name.cmp(&b.port_name));
    let list = List::new(&found);
    let text = if args.json { to_json(&list)? } else { list.text() };
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The names of the ports on USB: a board may be at each of them. Of others many have nothing behind them.
pub(super) fn boards() -> anyhow::Result<Vec<String>> {
    let found = serialport::available_ports().context("cannot list the serial ports")?;
    Ok(on_usb(found))
}

fn on_usb(ports: Vec<SerialPortInfo>) -> Vec<String> {
    let on_usb = ports.into_iter().filter(|port| matches!(port.port_type, SerialPortType::UsbPort(_)));
    let mut names: Vec<_> = on_usb.map(|port| port.port_name).collect();
    names.sort();
    names
}

#[derive(Serialize)]
struct List {
    schema: &'static str,
    ports: Vec<Port>,
}

#[derive(Serialize)]
struct Port {
    name: String,
    kind: &'static str,
    /// `null` for ports that are not on USB.
    usb: Option<Usb>,
}

#[derive(Serialize)]
struct Usb {
    /// Four hexadecimal digits, as `lsusb` shows them.
    vendor_id: String,
    product_id: String,
    vendor: Option<String>,
    product: Option<String>,
    serial_number: Option<String>,
}

impl List {
    fn new(ports: &[SerialPortInfo]) -> Self {
        Self { schema: "phasemeter.ports/1", ports: ports.iter().map(Port::new).collect() }
    }

    fn text(&self) -> String {
        if self.ports.is_empty() {
            return "no serial ports found\n\
                    hint: plug the board in and check the cable (some only charge); a file, `-`, tcp:HOST:PORT and \
                    unix:PATH are read too\n"
                .into();
        }
        let width = self.ports.iter().map(|port| port.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for port in &self.ports {
            // What a USB device says of itself must not begin a line of its own. Writing to a `String` does not fail.
            let _ = writeln!(text, "{:width$}  {}", printable(&port.name), printable(&port.describe()));
        }
        text
    }
}

impl Port {
    fn new(info: &SerialPortInfo) -> Self {
        let (kind, usb) = match &info.port_type {
            SerialPortType::UsbPort(usb) => (
                "usb",
                Some(Usb {
                    vendor_id: format!("{:04x}", usb.vid),
                    product_id: format!("{:04x}", usb.pid),
                    vendor: usb.manufacturer.clone(),
                    product: usb.product.clone(),
                    serial_number: usb.serial_number.clone(),
                }),
            ),
            SerialPortType::PciPort => ("pci", None),
            SerialPortType::BluetoothPort => ("bluetooth", None),
            SerialPortType::Unknown => ("unknown", None),
        };
        Self { name: info.port_name.clone(), kind, usb }
    }

    fn describe(&self) -> String {
        let Some(usb) = &self.usb else { return self.kind.into() };
        let names = [&usb.vendor, &usb.product].into_iter().flatten().map(String::as_str);
        let mut words: Vec<&str> = names.collect();
        let ids = format!("({}:{})", usb.vendor_id, usb.product_id);
        words.extend(["usb", &ids]);
        if let Some(number) = &usb.serial_number {
            words.extend(["serial", number]);
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use serialport::UsbPortInfo;

    use super::*;

    fn ports() -> [SerialPortInfo; 2] {
        let usb = UsbPortInfo {
            vid: 0x2341,
            pid: 0x43,
            serial_number: Some("8543".into()),
            manufacturer: Some("Arduino".into()),
            product: None,
        };
        [
            SerialPortInfo { port_name: "/dev/ttyACM0".into(), port_type: SerialPortType::UsbPort(usb) },
            SerialPortInfo { port_name: "/dev/ttyS0".into(), port_type: SerialPortType::Unknown },
        ]
    }

    #[test]
    fn text_is_one_line_a_port() {
        assert_eq!(
            List::new(&ports()).text(),
            "/dev/ttyACM0  Arduino usb (2341:0043) serial 8543\n/dev/ttyS0    unknown\n"
        );
        assert!(List::new(&[]).text().starts_with("no serial ports found\nhint: "));
    }

    #[test]
    fn boards_are_on_usb() {
        assert_eq!(on_usb(ports().into()), ["/dev/ttyACM0"]);
    }

    #[test]
    fn json_is_versioned() {
        assert_eq!(
            serde_json::to_value(List::new(&ports())).unwrap(),
            serde_json::json!({
                "schema": "phasemeter.ports/1",
                "ports": [
                    { "name": "/dev/ttyACM0", "kind": "usb", "usb": {
                        "vendor_id": "2341", "product_id": "0043", "vendor": "Arduino", "product": null,
                        "serial_number": "8543" } },
                    { "name": "/dev/ttyS0", "kind": "unknown", "usb": null },
                ],
            })
        );
        assert_eq!(serde_json::to_string(&List::new(&[])).unwrap(), r#"{"schema":"phasemeter.ports/1","ports":[]}"#);
    }

    #[test]
    fn this_machine_can_be_asked() {
        run(Args { json: true }).unwrap();
    }
}
